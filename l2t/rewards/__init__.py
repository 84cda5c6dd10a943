"""Analysis of learned rewards: what a reward pays for, and how far it can be trusted."""
