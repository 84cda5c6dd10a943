"""When VRTD says that its epochs do not settle, and when it does not."""

from __future__ import annotations

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms.features import OneHot
from algorithms.policy_evaluation.config import VRTDConfig
from algorithms.policy_evaluation.fixed_point import squared_error
from algorithms.policy_evaluation.problem import BLOCK, Estimate, Problem
from algorithms.policy_evaluation.stability import StabilityWarning, check_stability
from algorithms.policy_evaluation.vrtd import VRTD
from envs.tabular.exact import evaluate, relative_value_iteration
from envs.tabular.families import garnet, grid_world, ring, river_swim, two_state_cycle
from envs.tabular.sampling import MarkovSource, Sampler
from l2t.rl.transitions import PairTransitions

EVRTD = {"exploration": 0.3, "rate_fraction": 0.5}
SWIM = river_swim(10)


def _run(mdp, config, samples=200_000, seeds=20):
    """Estimates from streams of the uniform policy, or of the optimal one where the method explores; its errors, and
    that of Q = 0."""
    policy = relative_value_iteration(mdp).policy if config.exploration else mdp.uniform_policy()
    sampler, acting = Sampler.create(mdp, policy), jnp.asarray(policy, jnp.float32)
    source = MarkovSource.create(sampler, acting, exploration=config.exploration)
    plain = MarkovSource.create(sampler, acting) if config.exploration else None
    problem, estimator = Problem(OneHot(mdp.reward.size), source, plain), VRTD(config, samples)
    keys = jax.random.split(jax.random.key(1), seeds)
    found = jax.device_get(jax.jit(jax.vmap(lambda key: estimator.run(problem, key)))(keys))
    perturbed = (1.0 - config.exploration) * policy + config.exploration / mdp.num_actions
    weight = (evaluate(mdp, perturbed).stationary[:, None] * perturbed).reshape(-1)
    truth = evaluate(mdp, policy).q.reshape(-1)
    return found, squared_error(found.theta[:, -1], truth, weight), squared_error(0.0 * truth, truth, weight)


@pytest.mark.parametrize(
    ("mdp", "config", "advice"),
    [
        (SWIM, VRTDConfig(skip=1, **EVRTD), r"skip=10 or step_size=0\.1\."),
        (ring(3, 0.06), VRTDConfig(skip=1, inner_fraction=0.5), r"skip=10 or step_size=0\.1\."),
        (ring(3, 0.006), VRTDConfig(skip=1, inner_fraction=0.5), r"skip=10 or"),
        (ring(3, 0.006), VRTDConfig(inner_fraction=0.5, skip=10), r"skip=100 or"),
    ],
    ids=["swim", "slower-ring", "slowest-ring", "slowest-ring-skip"],
)
def test_a_chain_that_mixes_too_slowly_for_the_inner_steps_is_warned_of(mdp, config, advice) -> None:
    found, errors, nothing = _run(mdp, config)
    assert errors.max() > nothing  # the warning is right: some run ends worse than Q = 0
    with pytest.warns(StabilityWarning, match=r"unstable in \d+ of 20 runs: .* times worse .*" + advice):
        assert check_stability(found.misfit, config, found.growth) > 3.0


@pytest.mark.parametrize(
    ("mdp", "config"),
    [
        (SWIM, VRTDConfig(skip=20, **EVRTD)),
        (SWIM, VRTDConfig(skip=1, step_size=0.1, **EVRTD)),
        (ring(3, 0.06), VRTDConfig(inner_fraction=0.5, skip=10)),
        (SWIM, VRTDConfig(**EVRTD)),
        (ring(3, 0.06), VRTDConfig()),
        (ring(3, 0.006), VRTDConfig()),
        (garnet(teleport=0.05), VRTDConfig()),
        (grid_world(4, 4, 0.2), VRTDConfig()),
    ],
    ids=lambda x: x.name if hasattr(x, "name") else f"skip-{x.skip}-step-{x.step_size}-{x.exploration}",
)
def test_what_settles_is_not_warned_of(mdp, config) -> None:
    found, errors, nothing = _run(mdp, config)
    assert errors.max() < 1.1 * nothing
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_stability(found.misfit, config, found.growth) < 3.0


@pytest.mark.parametrize("reward", [0.0, 1000.1])
def test_a_reward_that_never_changes_is_no_instability(reward) -> None:
    """ĝ is rounding alone, which grows and shrinks as it likes."""
    found, _, _ = _run(two_state_cycle(0.3, 0.4, (reward, reward)), VRTDConfig(), 100_000)
    assert check_stability(found.misfit, VRTDConfig()) < 1.0


def test_the_misfit_is_that_of_the_docstring() -> None:
    """Two epochs from a given anchor, in NumPy: residuals of the anchor and of zero over the same transitions."""
    config = VRTDConfig(first_blocks=2, growth=1.0, inner_fraction=0.5, skip=1, burn_in_blocks=0, average_epochs=False)
    estimator, rng = VRTD(config, 6 * BLOCK), np.random.default_rng(0)
    assert estimator.epochs == [(2, 0, 1), (2, 0, 1)]
    pair, after = rng.integers(0, 3, (2, 6, BLOCK))
    reward = rng.normal(size=(6, BLOCK)) + pair

    class Stored:
        def init(self, key):
            return jnp.asarray(0)

        def draw(self, state, key, length):
            stored = PairTransitions(jnp.asarray(pair), jnp.asarray(reward, jnp.float32), jnp.asarray(after))
            return state + 1, jax.tree.map(lambda x: x[state], stored)

    start = np.array([3.0, -1.0, -2.0])
    run = jax.jit(
        lambda theta: estimator.run_from(Problem(OneHot(3), Stored()), jax.random.key(0), theta, jnp.asarray(0))
    )
    curve, _ = run(jnp.asarray(start, jnp.float32))

    def residual(theta, blocks):
        x, y, r = pair[blocks].ravel(), after[blocks].ravel(), reward[blocks].ravel()
        terms = np.eye(3)[x] * (theta[x] - theta[y] - r + r.mean())[:, None]
        return np.linalg.norm(terms.mean(0))

    anchors = [start, np.asarray(curve.theta[0], np.float64)]
    expected = [residual(a, b) / residual(0.0 * a, b) for a, b in zip(anchors, ([0, 1], [3, 4]), strict=True)]
    np.testing.assert_allclose(curve.misfit, expected, rtol=1e-4)
    # Next to the anchor before, over the transitions of the later one, where that stands out of their noise.
    np.testing.assert_allclose(curve.growth, [1.0, residual(anchors[1], [3, 4]) / residual(start, [3, 4])], rtol=1e-4)


def test_an_overflow_is_infinitely_unstable() -> None:
    estimate = Estimate(jnp.zeros((3, 2)), jnp.zeros(3), jnp.asarray([1.0, 0.5, jnp.nan]))
    with pytest.warns(StabilityWarning, match=r"The epochs are unstable: .* up to inf times worse"):
        assert check_stability(estimate.misfit, VRTDConfig()) == np.inf


def test_growth_from_one_anchor_to_the_next_is_warned_of_where_zero_is_still_worse() -> None:
    misfit, growth = np.array([[1.0, 0.01, 0.5], [1.0, 0.2, 0.1]]), np.array([[1.0, 0.01, 40.0], [1.0, 0.2, 1.3]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_stability(misfit, VRTDConfig())
        check_stability(misfit[1], VRTDConfig(), growth[1])
    told = r"unstable in 1 of 2 runs: .* 4\.0e\+01 times worse than the anchor before it\. .* give step_size=0\.1\."
    with pytest.warns(StabilityWarning, match=told):
        assert check_stability(misfit, VRTDConfig(), growth) == 1.0


def test_noise_at_the_floor_is_no_growth() -> None:
    """From the solution, every anchor is as good as any other: what the residuals do is chance."""
    mdp = ring(3, 0.06)
    policy = mdp.uniform_policy()
    problem = Problem(OneHot(6), MarkovSource.create(Sampler.create(mdp, policy), jnp.asarray(policy, jnp.float32)))
    estimator = VRTD(VRTDConfig(growth=1.0, average_epochs=False), 100_000)
    truth = evaluate(mdp, policy).q.reshape(-1)
    start = jnp.asarray(truth - truth.mean(), jnp.float32)
    keys = jax.random.split(jax.random.key(0), 20)
    run = jax.jit(jax.vmap(lambda key: estimator.run_from(problem, key, start, jnp.asarray(0))[0].growth))
    growth = np.asarray(run(keys))
    assert growth.shape[1] > 20
    assert growth.max() < 3.0
    assert np.median(growth) < 1.1
