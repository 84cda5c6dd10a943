"""Off-policy learning, from steps of any age that a ring remembers."""
