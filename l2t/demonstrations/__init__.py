"""Demonstrations: recorded episodes of a policy, on disk and as learners take them."""
