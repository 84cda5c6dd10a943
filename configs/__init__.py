"""Hydra configuration groups and their schemas: where algorithms and environments meet."""
