"""Reinforcement learning: environments in batches, models, operators, learners and the loop that joins them."""
