"""JAX as the entry points set it up, above all with the cache of compiled programs on; but compiling fast."""

import os
import signal

import jax
import pytest

from l2t.runtime import configure

# XLA's newer emitters of fused loops make better code in twice the time. Without AVX2, no multiplication and addition
# are rounded as one, so that rounding does not hang on what an operation is fused with: two programs which compute the
# same agree bit for bit. (Processors other than Intel's and AMD's ignore it.)
FLAGS = "--xla_cpu_use_fusion_emitters=false --xla_cpu_max_isa=AVX"
FAST = "JAX_DISABLE_MOST_OPTIMIZATIONS"


def pytest_configure(config):
    """Most programs here run for a moment: compiling them, here and in processes, is what takes the time.

    Compiling fast leaves XLA's graph as it is and saves on machine code. The learning bars and a GPU have all of XLA.
    """
    if config.getoption("markexpr") not in ("slow", "gpu"):
        given = os.environ.get("XLA_FLAGS", "").removesuffix(FLAGS)  # workers of pytest-xdist inherit it
        os.environ["XLA_FLAGS"] = f"{given} {FLAGS}".strip()
        _optimise(False)
    configure()


def pytest_collection_modifyitems(items):
    """The notebooks first: each is one long process, and at the end the other worker would wait for it."""
    items.sort(key=lambda item: item.path.name != "test_notebooks.py")


@pytest.fixture(scope="module")
def optimised():
    """Programs that run long, or whose rounding is what a test is about: as XLA compiles them for users."""
    before = os.environ.get(FAST)
    _optimise(True)
    yield
    _optimise(before is None)


def _optimise(fully):
    jax.config.update("jax_disable_most_optimizations", not fully)
    if fully:
        os.environ.pop(FAST, None)
    else:
        os.environ[FAST] = "1"


@pytest.fixture
def heeds_hangups():
    """SIGHUP as at a terminal, here and in processes: tests that run under `nohup` inherit that it is ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)
