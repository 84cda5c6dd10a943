"""JAX as the entry points set it up; above all with the cache of compiled programs on."""

import os
import signal

import jax
import pytest

from l2t.runtime import configure

configure()


@pytest.fixture
def heeds_hangups():
    """SIGHUP as at a terminal, here and in processes: tests that run under `nohup` inherit that it is ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="module")
def quick_compile():
    """Programs that run for a moment: compiling them fast, here and in processes, matters more than their speed."""
    before = os.environ.get("JAX_DISABLE_MOST_OPTIMIZATIONS")
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", before == "1")
    if before is None:
        del os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"]
