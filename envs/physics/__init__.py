"""Physics engines: one pair of pure functions, `init` and `step`, for every backend."""
