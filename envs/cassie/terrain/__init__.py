"""The ground that Cassie walks on: one height function and one motion, for every kind of terrain."""
