"""JAX as the entry points set it up; above all with the cache of compiled programs on."""

from l2t.runtime import configure

configure()
