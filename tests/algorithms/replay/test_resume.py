"""A run whose ring has wrapped goes on bit for bit from its newest checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from algorithms.build import build
from algorithms.replay.config import SPMDReplayConfig
from l2t.config import NetworkConfig
from l2t.rl.algorithm import BuildContext
from l2t.run.checkpoint import Checkpoints
from tests.support.probes import tempting_end

CONFIG = SPMDReplayConfig(
    num_steps=4, updates_per_step=0.25, batch_size=8, buffer_size=80, warm_up=16, network=NetworkConfig((8,))
)


def _bits(state: Any) -> list[bytes]:
    keys = [jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in jax.tree.leaves(state)]
    leaves = jax.tree.leaves(state)
    return [np.asarray(jax.random.key_data(x) if key else x).tobytes() for x, key in zip(leaves, keys, strict=True)]


def test_it_goes_on_bit_for_bit_in_the_middle_of_a_wrap(tmp_path: Path) -> None:
    algorithm = build(CONFIG, BuildContext(tempting_end(1.0), 4, 1000, NetworkConfig((8,))))
    iterate = jax.jit(algorithm.iterate)
    state = jax.jit(algorithm.init)(jax.random.key(0))
    checkpoints = Checkpoints(tmp_path, newest_only=".transient.store")
    for _ in range(7):
        state, _ = iterate(state)
    ring = state.transient.store
    assert (int(ring.cursor), int(ring.filled), ring.steps.reward.shape) == (8, 20, (20, 4))
    checkpoints.save(7, state, {}, {})
    restored, _ = checkpoints.restore(jax.eval_shape(algorithm.init, jax.random.key(0)), {})
    for _ in range(4):
        state, _ = iterate(state)
        restored, _ = iterate(restored)
    assert _bits(restored) == _bits(state)
