"""Core of the framework: what every algorithm and every environment shares."""
