"""Evaluation of a policy in the average-reward setting with linear features: VRTD, EVRTD and their comparators."""
