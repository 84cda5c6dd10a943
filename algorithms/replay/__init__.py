"""Off-policy algorithms: they learn from steps of any age that a ring remembers."""
