"""Learned rewards: the network that is one, what it pays for, and how far it can be trusted."""
