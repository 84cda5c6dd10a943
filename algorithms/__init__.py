"""Learning algorithms: pure functions over a training-state pytree."""
