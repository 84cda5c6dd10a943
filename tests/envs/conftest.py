"""JAX as the entry points set it up: MJX programs compile for half a minute on a CPU, so the cache must be on."""

from l2t.runtime import configure

configure()
