"""Mirror steps against a bisection of the optimality conditions, a general solver, and limits in closed form."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy import ndarray
from scipy.optimize import minimize
from scipy.special import rel_entr, softmax, xlogy

from algorithms.mirror_descent.divergences import euclidean_step, kl_step, tsallis_step

STEPS = {"kl": kl_step, "tsallis": tsallis_step, "euclidean": euclidean_step}
GRADIENT: dict[str, Callable[[ndarray], ndarray]] = {
    "kl": np.log,
    "tsallis": lambda p: -(p**-0.5),
    "euclidean": lambda p: p,
}
DIVERGENCE: dict[str, Callable[[ndarray, ndarray], float]] = {
    "kl": lambda p, q: rel_entr(p, q).sum(),
    "tsallis": lambda p, q: (-2.0 * np.sqrt(p) + 2.0 * np.sqrt(q) + (p - q) / np.sqrt(q)).sum(),
    "euclidean": lambda p, q: 0.5 * ((p - q) ** 2).sum(),
}
COMPILED = {name: jax.jit(step, static_argnums=3) for name, step in STEPS.items()}
NAMES = pytest.mark.parametrize("name", list(STEPS))


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def bisect(
    function: Callable[[ndarray], ndarray], low: ndarray, high: ndarray, iterations: int
) -> tuple[ndarray, ndarray]:
    """Where an increasing function passes 0."""
    for _ in range(iterations):
        middle = 0.5 * (low + high)
        above = function(middle) > 0.0
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return low, high


def solve(name: str, old: ndarray, q: ndarray, eta: float, mu: float) -> ndarray:
    """φ'(p) + ημ log p = φ'(old) + η (Q - y) by bisection in log p within bisection in y."""
    gradient = GRADIENT[name]
    target = gradient(old) + eta * q

    def policy(y: ndarray) -> ndarray:
        wanted = target - y
        x = bisect(lambda x: gradient(np.exp(x)) + eta * mu * x - wanted, np.full_like(q, -600.0), np.zeros_like(q), 62)
        return np.exp(0.5 * (x[0] + x[1]))

    edges = [np.max(target - (gradient(np.array(p)) + eta * mu * np.log(p))) for p in (1.0, 0.5 / len(q))]
    y = bisect(lambda y: 1.0 - policy(y).sum(), np.array(edges[0]) - 1e-9, np.array(edges[1]), 70)
    return policy(0.5 * (y[0] + y[1]))


@NAMES
@given(
    seed=st.integers(0, 2**32 - 1),
    actions=st.sampled_from([2, 7]),
    log_eta=st.floats(-2.0, 2.0),
    mu=st.sampled_from([0.0, 0.05, 1.0]),
    concentration=st.sampled_from([0.1, 1.0, 10.0]),
)
@example(seed=0, actions=1, log_eta=0.0, mu=0.0, concentration=1.0)
@example(seed=0, actions=1, log_eta=0.0, mu=1.0, concentration=1.0)
@settings(max_examples=20, deadline=None)
def test_a_step_solves_the_optimality_conditions(
    name: str, seed: int, actions: int, log_eta: float, mu: float, concentration: float
) -> None:
    rng = np.random.default_rng(seed)
    old = np.maximum(rng.dirichlet(np.full(actions, concentration)), 1e-12)
    old, q, eta = old / old.sum(), rng.normal(size=actions), 10.0**log_eta
    found = np.exp(COMPILED[name](jnp.log(old), jnp.asarray(q), eta, mu))
    np.testing.assert_allclose(found, solve(name, old, q, eta, mu), atol=1e-8)
    assert found.sum() == pytest.approx(1.0, abs=1e-14)


@NAMES
@pytest.mark.parametrize("mu", [0.0, 0.3])
def test_no_general_solver_finds_anything_better(name: str, mu: float) -> None:
    """The conditions above are those of this objective."""
    rng = np.random.default_rng(3)
    for eta in (0.1, 1.0, 5.0):
        old, q = rng.dirichlet(np.ones(5)), rng.normal(size=5)

        def loss(p: ndarray, old: ndarray = old, q: ndarray = q, eta: float = eta) -> float:
            return float(DIVERGENCE[name](p, old) - eta * (q @ p - mu * xlogy(p, p).sum()))

        best = minimize(
            loss,
            old,
            method="SLSQP",
            bounds=[(1e-12, 1.0)] * 5,
            constraints={"type": "eq", "fun": lambda p: p.sum() - 1.0},
            options={"ftol": 1e-14, "maxiter": 500},
        ).x
        found = np.exp(np.asarray(COMPILED[name](jnp.log(old), jnp.asarray(q), eta, mu)))
        np.testing.assert_allclose(found, best, atol=1e-4)
        assert loss(found) <= loss(best / best.sum()) + 1e-10


@NAMES
@pytest.mark.parametrize("mu", [0.0, 0.3])
def test_a_constant_added_to_q_changes_nothing(name: str, mu: float) -> None:
    rng = np.random.default_rng(0)
    log_policy, q = jnp.log(rng.dirichlet(np.ones(6), 4)), jnp.asarray(rng.normal(size=(4, 6)))
    shift = jnp.array([0.0, 1.0, -30.0, 1e4])[:, None]
    found = COMPILED[name](log_policy, q + shift, 2.0, mu)
    np.testing.assert_allclose(np.exp(found), np.exp(COMPILED[name](log_policy, q, 2.0, mu)), atol=1e-10)


@NAMES
@pytest.mark.parametrize("mu", [0.0, 0.3])
def test_only_euclid_revives_a_dead_action(name: str, mu: float) -> None:
    old = jnp.array([0.5, 0.0, 0.5])
    found = np.exp(COMPILED[name](jnp.log(old), jnp.array([0.0, 1.0, 0.1]), 1.0, mu))
    assert np.isfinite(found).all()
    assert found.sum() == pytest.approx(1.0, abs=1e-14)
    if name == "euclidean":
        assert found[1] > 0.3
    else:
        alive = np.exp(COMPILED[name](jnp.log(old[::2]), jnp.array([0.0, 0.1]), 1.0, mu))
        np.testing.assert_allclose(found, [alive[0], 0.0, alive[1]], atol=1e-12)


@NAMES
def test_a_dead_action_under_euclid_without_entropy_is_exactly_dead(name: str) -> None:
    found = COMPILED[name](jnp.log(jnp.array([0.4, 0.6])), jnp.array([0.0, 50.0]), 1.0, 0.0)
    assert np.isneginf(found[0]) == (name == "euclidean")


@pytest.mark.parametrize("mu", [0.0, 0.5])
def test_a_probability_below_every_float_comes_back(mu: float) -> None:
    log_policy = jnp.array([0.0, -5000.0])
    found = kl_step(log_policy, jnp.array([0.0, 5001.0]), 1.0, mu)
    odds = 1.0 / (1.0 + mu)
    np.testing.assert_allclose(found, [-odds - np.log1p(np.exp(-odds)), -np.log1p(np.exp(-odds))], atol=1e-12)


@NAMES
@pytest.mark.parametrize("mu", [0.0, 0.5])
def test_long_and_short_steps_have_known_limits(name: str, mu: float) -> None:
    rng = np.random.default_rng(5)
    old, q = rng.dirichlet(np.ones(4)), np.array([0.3, -0.2, 0.9, 0.1])
    short = np.exp(COMPILED[name](jnp.log(old), jnp.asarray(q), 1e-9, mu))
    np.testing.assert_allclose(short, old, atol=1e-8)
    long = np.exp(COMPILED[name](jnp.log(old), jnp.asarray(q), 1e8, mu))
    np.testing.assert_allclose(long, softmax(q / mu) if mu else np.eye(4)[2], atol=1e-6)


@NAMES
@pytest.mark.parametrize("mu", [0.0, 0.3])
def test_states_do_not_meet_and_the_dtype_is_kept(name: str, mu: float) -> None:
    rng = np.random.default_rng(2)
    log_policy, q = jnp.log(rng.dirichlet(np.ones(5), (2, 3))), jnp.asarray(rng.normal(size=(2, 3, 5)))
    together = COMPILED[name](log_policy, q, 1.5, mu)
    mapped = jax.jit(jax.vmap(jax.vmap(lambda x, q: STEPS[name](x, q, 1.5, mu))))(log_policy, q)
    np.testing.assert_allclose(together, mapped, atol=1e-12)
    single = COMPILED[name](log_policy.astype(jnp.float32), q.astype(jnp.float32), jnp.float32(1.5), mu)
    assert together.dtype == jnp.float64
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(np.exp(single), np.exp(together), atol=1e-6)
