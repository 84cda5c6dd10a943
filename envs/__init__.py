"""Environments: pure functions over a physics engine."""
