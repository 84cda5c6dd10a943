"""A training run on disk: the host loop, checkpoints, the run directory, trackers."""
