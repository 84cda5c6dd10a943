import jax
import numpy as np

from l2t.rl.keys import aside


def _numbers(keys):
    return {tuple(int(part) for part in row) for row in np.asarray(jax.random.key_data(keys)).reshape(-1, 2)}


def test_a_key_aside_is_none_that_a_split_gives():
    key = jax.random.key(3)
    split = _numbers(jax.random.split(key, 4096))
    assert _numbers(jax.random.fold_in(key, 1)) <= split  # which is why it is not used for this
    assert not _numbers(aside(key)) & (split | _numbers(key))
