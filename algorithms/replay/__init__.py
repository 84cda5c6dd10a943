"""Off-policy learning from replayed transitions in the average-reward setting."""
