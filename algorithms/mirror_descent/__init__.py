"""Stochastic policy mirror descent for finite processes: mirror steps, step-size schedules, and the loop."""
