import subprocess
import sys

import numpy as np
import pytest

from l2t.errors import L2TError
from l2t.rewards.samples import correlated_groups, estimates, group_names, mean_estimates, resampled_sums


def test_a_chain_of_neighbours_makes_no_group():
    """Corr(a, b) = Corr(b, c) = .97, but Corr(a, c) = .90."""
    rng = np.random.default_rng(0)
    target = np.array([[1.0, 0.97, 0.90], [0.97, 1.0, 0.97], [0.90, 0.97, 1.0]])
    x = rng.normal(size=(20_000, 3)) @ np.linalg.cholesky(target).T
    assert correlated_groups(x, 0.95) in (((0, 1), (2,)), ((0,), (1, 2)))
    assert correlated_groups(x, 0.85) == ((0, 1, 2),)


def test_signs_monotone_copies_and_constants():
    a, b = np.random.default_rng(1).normal(size=(2, 300))
    x = np.column_stack([a, b, -np.exp(a), np.ones(300), b + 5.0])
    assert correlated_groups(x) == ((0, 2), (1, 4), (3,))
    assert correlated_groups(x[:, :1]) == ((0,),)


def test_groups_are_named_after_their_members():
    assert group_names("abcdef", ((0,), (1, 2), (3, 4, 5))) == ("a", "b + c", "d + 2 more")


def test_resampled_means_have_the_spread_of_a_mean():
    values = np.random.default_rng(2).exponential(size=(500, 1))
    sums = resampled_sums(values, resamples=4000)
    assert np.all(sums[:, -1] == 500)
    assert (sums[:, 0] / 500).std() == pytest.approx(values.std() / np.sqrt(500), rel=0.05)


def test_episodes_of_unequal_length_weigh_by_their_steps():
    values, episode = np.array([[1.0], [1.0], [1.0], [5.0]]), np.array([7, 7, 7, 2])
    sums = resampled_sums(values, episode)
    assert {tuple(row) for row in sums} == {(6.0, 6.0), (8.0, 4.0), (10.0, 2.0)}
    assert mean_estimates(["a"], values, episode)["a"].estimate == 2.0


def test_an_unknown_name_is_answered_with_those_that_exist():
    with pytest.raises(L2TError, match="choose one of: a, b"):
        estimates(["a", "b"], np.zeros(2), np.zeros((5, 2)))["c"]


def test_the_room_is_imported_without_training_code_or_a_simulator():
    modules = (
        "attribution decomposition ensemble importance maps phase plots regret reoptimise shaping surrogate support"
    )
    code = "import sys\n" + "".join(f"import l2t.rewards.{name}\n" for name in modules.split())
    code += "print([m for m in sys.modules if m.startswith(('l2t.rl', 'l2t.run.', 'mujoco', 'flax', 'optax'))])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
