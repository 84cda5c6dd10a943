"""Inverse reinforcement learning: rewards from demonstrations."""
