"""Rewards as objects of their own: comparing two of them, whatever they were learnt with."""
