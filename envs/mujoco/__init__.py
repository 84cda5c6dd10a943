"""Gymnasium's MuJoCo tasks (v5 semantics) as pure functions."""
