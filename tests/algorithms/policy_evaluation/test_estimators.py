"""Each estimator against dense linear algebra on small processes."""

from __future__ import annotations

import warnings
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms.features import OneHot, aggregated_features, radial_features, random_features
from algorithms.policy_evaluation.build import build_estimator
from algorithms.policy_evaluation.config import (
    EstimatorConfig,
    LSTDConfig,
    MonteCarloConfig,
    TDConfig,
    VRTDConfig,
)
from algorithms.policy_evaluation.excitation import ExcitationWarning, check_excitation
from algorithms.policy_evaluation.fixed_point import projected_fixed_point, squared_error
from algorithms.policy_evaluation.problem import BLOCK, Problem, geometric_blocks
from envs.tabular.exact import evaluate, relative_value_iteration
from envs.tabular.families import garnet, grid_world, two_state_cycle
from envs.tabular.sampling import GenerativeSource, MarkovSource, Sampler
from l2t.errors import ConfigurationError, FeatureError

MDP = garnet(6, 2, 3, teleport=0.1, seed=1)
POLICY = 0.5 * np.random.default_rng(0).dirichlet(np.ones(2), 6) + 0.25
EXACT = evaluate(MDP, POLICY)
WEIGHT = (EXACT.stationary[:, None] * POLICY).reshape(-1)
ONE_HOT = OneHot(12)
EVRTD = VRTDConfig(exploration=0.3, rate_fraction=0.5)


def _problem(mdp=MDP, policy=POLICY, features=ONE_HOT, exploration=0.0, entropy=0.0):
    sampler, acting = Sampler.create(mdp, policy), jnp.asarray(policy, jnp.float32)
    source = MarkovSource.create(sampler, acting, entropy, exploration)
    return Problem(features, source, MarkovSource.create(sampler, acting, entropy) if exploration else None)


def _run(config, samples, problem, seeds=8):
    estimator = build_estimator(config, samples)
    keys = jax.random.split(jax.random.key(7), seeds)
    return estimator.samples, jax.device_get(jax.jit(jax.vmap(lambda key: estimator.run(problem, key)))(keys))


def _error(theta, exact=EXACT, weight=WEIGHT):
    return squared_error(theta, exact.q.reshape(-1), weight).mean(0)


@pytest.mark.parametrize(
    ("config", "factor"),
    [
        (VRTDConfig(), 3.0),
        (VRTDConfig(skip=1), 3.0),
        (VRTDConfig(skip=5), 3.0),
        (VRTDConfig(average_epochs=False), 9.0),
        (TDConfig(step_size=1.0, decay=0.66, average=True), 9.0),  # its mean still holds the first iterates
        (LSTDConfig(), 1.5),
    ],
    ids=["vrtd", "vrtd-each", "vrtd-skip", "vrtd-last", "td", "lstd"],
)
def test_the_error_falls_to_that_of_the_best_estimator(config, factor) -> None:
    """A plug-in model of the same number of transitions, solved exactly, has error C/n; the others stay near it."""
    samples, found = _run(config, 200_000, _problem())
    best = _plug_in_error(200_000)
    assert _error(found.theta)[-1] < factor * best
    assert found.reward_rate[:, -1] == pytest.approx(EXACT.reward_rate, abs=0.01)
    assert samples[-1] <= 200_000
    assert np.all(np.diff(samples) > 0)


def _plug_in_error(samples):
    """Mean error of Q from empirical frequencies, in NumPy alone."""
    errors, rng = [], np.random.default_rng(0)
    chain = MDP.pair_chain(POLICY)
    for _ in range(8):
        counts = np.stack([rng.multinomial(int(samples * w), row) for w, row in zip(WEIGHT, chain, strict=True)])
        model = counts / counts.sum(1, keepdims=True)
        values, vectors = np.linalg.eig(model.T)
        stationary = np.real(vectors[:, np.argmax(values.real)])
        stationary /= stationary.sum()
        reward = MDP.reward.reshape(-1)
        q = np.linalg.solve(np.eye(12) - model + stationary, reward - stationary @ reward)
        errors.append(squared_error(q, EXACT.q.reshape(-1), WEIGHT))
    return float(np.mean(errors))


def test_with_a_constant_step_td_stops_at_a_floor_that_vrtd_goes_through() -> None:
    _, td = _run(TDConfig(step_size=0.1), 400_000, _problem())
    _, vrtd = _run(VRTDConfig(), 400_000, _problem())
    assert _error(vrtd.theta)[-1] < 0.2 * _error(td.theta)[-1]


def test_monte_carlo_returns_have_the_bias_of_their_horizon() -> None:
    """G has mean Q - E[Q of the pair H steps on], whose distance to Q is known."""
    config = MonteCarloConfig(horizon=2)
    _, found = _run(config, 400_000, _problem())
    later = np.linalg.matrix_power(MDP.pair_chain(POLICY), 2) @ EXACT.q.reshape(-1)
    truth = EXACT.q.reshape(-1) - later
    assert squared_error(found.theta[:, -1], truth, WEIGHT).mean() < 1e-4
    assert squared_error(later, np.zeros(12), WEIGHT) > 4e-4  # else the test could not tell
    _, long = _run(MonteCarloConfig(horizon=60), 400_000, _problem())
    assert _error(long.theta)[-1] < 2e-3


@pytest.mark.parametrize("make", [lambda: random_features(12, 5), lambda: radial_features(6, 2, 3)])
@pytest.mark.parametrize("config", [VRTDConfig(), LSTDConfig()], ids=["vrtd", "lstd"])
def test_with_few_features_the_projected_fixed_point_is_found(make, config) -> None:
    features = make()
    table = np.asarray(features.table, np.float64)
    fixed = table @ projected_fixed_point(
        table, WEIGHT, MDP.pair_chain(POLICY), MDP.reward.reshape(-1), EXACT.reward_rate
    )
    _, found = _run(config, 400_000, _problem(features=features))
    distance = squared_error(found.theta[:, -1] @ table.T, fixed, WEIGHT).mean()
    assert distance < 0.02 * squared_error(fixed, EXACT.q.reshape(-1), WEIGHT)


def test_an_entropy_price_is_part_of_the_value() -> None:
    exact = evaluate(MDP, POLICY, 0.5)
    _, found = _run(LSTDConfig(), 200_000, _problem(entropy=0.5))
    assert _error(found.theta, exact)[-1] < 1e-3
    assert found.reward_rate[:, -1].mean() == pytest.approx(exact.reward_rate, abs=5e-3)


def test_independent_draws_serve_as_well_as_a_path() -> None:
    sampler = Sampler.create(MDP, POLICY)
    source = GenerativeSource.create(sampler, jnp.asarray(POLICY, jnp.float32), WEIGHT)
    _, found = _run(VRTDConfig(), 200_000, Problem(ONE_HOT, source))
    assert _error(found.theta)[-1] < 3.0 * _plug_in_error(200_000)


def test_of_a_deterministic_policy_only_evrtd_learns_what_is_never_done() -> None:
    mdp = grid_world(3, 3, 0.3)
    policy = relative_value_iteration(mdp).policy
    exact = evaluate(mdp, policy)
    acting = 0.7 * policy + 0.3 / 4
    weight = (evaluate(mdp, acting).stationary[:, None] * acting).reshape(-1)
    features = OneHot(36)
    nothing = squared_error(np.zeros(36), exact.q.reshape(-1), weight)
    plain = _problem(mdp, policy, features)
    _, vrtd = _run(VRTDConfig(), 400_000, plain)
    assert _error(vrtd.theta, exact, weight)[-1] > 0.1 * nothing
    exploring = _problem(mdp, policy, features, 0.3)
    _, evrtd = _run(EVRTD, 400_000, exploring)
    assert _error(evrtd.theta, exact, weight)[-1] < 0.01 * nothing
    assert evrtd.reward_rate[:, -1].mean() == pytest.approx(exact.reward_rate, abs=5e-3)

    # 27 pairs are never seen; one combination of theirs and the others' is the constant.
    with pytest.warns(ExcitationWarning, match="26 of 36 directions .* smallest eigenvalue"):
        assert check_excitation(plain, jax.random.key(0)) == pytest.approx(0.0, abs=1e-7)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_excitation(exploring, jax.random.key(0)) == pytest.approx(weight.min(), rel=0.3)


def test_a_periodic_chain_is_no_obstacle() -> None:
    """The bias of a two-state cycle is known: V(0) - V(1) = (r0 - r1)/2."""
    mdp = two_state_cycle(rewards=(2.0, 0.0))
    _, found = _run(VRTDConfig(), 50_000, _problem(mdp, np.ones((2, 1)), OneHot(2)))
    np.testing.assert_allclose(found.theta[:, -1, 0] - found.theta[:, -1, 1], 1.0, atol=1e-3)


def test_estimates_have_no_constant() -> None:
    features = aggregated_features(6, 2, 3)
    for config in (VRTDConfig(), TDConfig(), LSTDConfig(), MonteCarloConfig()):
        _, found = _run(config, 20_000, _problem(features=features), seeds=2)
        np.testing.assert_allclose(found.theta @ np.asarray(features.constant), 0.0, atol=1e-4)


def test_a_warm_start_goes_on_from_where_it_is() -> None:
    """From the solution a short budget stays near it; from zero it does not get there."""
    estimator = build_estimator(VRTDConfig(burn_in_blocks=0), 4000)
    truth = jnp.asarray(EXACT.q.reshape(-1) - EXACT.q.mean(), jnp.float32)
    run = jax.jit(lambda theta: estimator.run_from(_problem(), jax.random.key(0), theta, jnp.asarray(0)))
    warm, stream = run(truth)
    cold, _ = run(jnp.zeros(12))
    assert squared_error(warm.theta[-1], EXACT.q.reshape(-1), WEIGHT) < 0.5 * squared_error(
        cold.theta[-1], EXACT.q.reshape(-1), WEIGHT
    )
    assert 0 <= int(stream) < 12


def test_one_epoch_is_the_recursion_of_the_docstring() -> None:
    """An explicit loop in NumPy over the same transitions."""
    config = VRTDConfig(
        first_blocks=2, inner_fraction=0.5, discard=0.0, skip=1, burn_in_blocks=0, average_epochs=False, step_size=0.3
    )
    estimator, problem, key = build_estimator(config, 3 * BLOCK), _problem(), jax.random.key(3)
    assert estimator.epochs == [(2, 0, 1)]
    batches = [problem.source.draw(jnp.asarray(0), key, BLOCK)[1] for key in jax.random.split(key, 3)]
    stored = jax.tree.map(lambda *parts: jnp.stack(parts), *batches)

    class Stored:
        def draw(self, state, key, length):
            return state + 1, jax.tree.map(lambda x: x[state], stored)

    start = np.linspace(-0.5, 0.5, 12)
    start -= start.mean()
    run = jax.jit(lambda theta: estimator.run_from(Problem(ONE_HOT, Stored()), key, theta, jnp.asarray(0)))
    curve, used = run(jnp.asarray(start, jnp.float32))
    assert int(used) == 3

    *anchor, inner = batches
    rate = np.mean([batch.reward for batch in anchor])

    def operator(theta, pair, reward, following):
        return np.eye(12)[pair] * (theta[pair] - theta[following] - reward + rate)

    def each(batch):
        return zip(*(np.asarray(part) for part in (batch.pair, batch.reward, batch.next_pair)), strict=True)

    mean = np.mean([operator(start, *transition) for batch in anchor for transition in each(batch)], axis=0)
    theta, iterates = start.copy(), []
    for transition in each(inner):
        theta = theta - 0.3 * (operator(theta, *transition) - operator(start, *transition) + mean)
        theta = theta - theta.mean()
        iterates.append(theta)
    np.testing.assert_allclose(curve.theta[-1], np.mean(iterates, axis=0), atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"step_size": 0.0}, "step_size"),
        ({"growth": 0.5}, "growth"),
        ({"discard": 1.0}, "discard"),
        ({"skip": 0}, "skip"),
        ({"skip": 600}, "skip"),
        ({"exploration": 0.2}, "both above 0"),
        ({"rate_fraction": 0.2}, "both be 0"),
    ],
)
def test_values_out_of_range_are_refused(changes, message) -> None:
    with pytest.raises(ConfigurationError, match=message):
        replace(VRTDConfig(), **changes)


@pytest.mark.parametrize("share", [0.01, 0.15, 3.0])
@pytest.mark.parametrize("rate", [0.0, 0.01, 0.5])
@pytest.mark.parametrize(("first", "burn_in"), [(1, 0), (4, 2), (20, 7)])
def test_the_budget_that_a_refusal_asks_for_suffices_and_less_does_not(share, rate, first, burn_in) -> None:
    exploration = 0.3 * (rate > 0.0)
    config = VRTDConfig(
        first_blocks=first,
        burn_in_blocks=burn_in,
        inner_fraction=share,
        rate_fraction=rate,
        exploration=exploration,
    )
    with pytest.raises(ConfigurationError, match=r"too small .* give at least \d+\.$") as refused:
        build_estimator(config, BLOCK)
    least = int(str(refused.value).split()[-1].rstrip("."))
    assert build_estimator(config, least).samples[-1] == least
    with pytest.raises(ConfigurationError, match=f"give at least {least}"):
        build_estimator(config, least - 1)


def test_a_stretch_without_a_block_says_nothing_about_the_excitation() -> None:
    with pytest.raises(ConfigurationError, match="samples=499 is too small; give at least 500"):
        check_excitation(_problem(), jax.random.key(0), 499)


def test_a_budget_too_small_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="too small"):
        build_estimator(VRTDConfig(), 1000)
    with pytest.raises(ConfigurationError, match="too small"):
        build_estimator(TDConfig(), 100)
    with pytest.raises(ConfigurationError, match="step_size"):
        TDConfig(step_size=-1.0)
    with pytest.raises(ConfigurationError, match="horizon"):
        MonteCarloConfig(horizon=600)


def test_a_configuration_from_elsewhere_builds_its_own_estimator() -> None:
    class Stranger:
        exploration = 0.0
        sums_returns = False

        def build(self, samples):
            return ("built", samples)

    assert isinstance(Stranger(), EstimatorConfig)
    assert build_estimator(Stranger(), 3000) == ("built", 3000)
    with pytest.raises(ConfigurationError, match="int is no estimator; give it a method build"):
        build_estimator(3, 3000)  # type: ignore[arg-type]
    for config in (VRTDConfig(), TDConfig(), LSTDConfig(), MonteCarloConfig()):
        assert isinstance(config, EstimatorConfig)
        assert type(build_estimator(config, 8000)).__name__ == type(config).__name__.removesuffix("Config")


def test_features_that_depend_on_each_other_are_refused() -> None:
    with pytest.raises(FeatureError, match="rank 12"):
        random_features(12, 20)
    with pytest.raises(FeatureError, match="rank"):
        aggregated_features(3, 2, 5)
    with pytest.raises(FeatureError, match="finite table"):
        type(aggregated_features(3, 2, 3)).create(np.full((3, 2), np.nan))


def test_features_of_another_process_are_refused() -> None:
    for features in (OneHot(10), random_features(10, 4)):
        with pytest.raises(FeatureError, match="describe 10 pairs, and the source draws from 12"):
            _problem(features=features)


def test_every_configuration_draws_its_budget_and_no_more() -> None:
    for growth in (1.0, 1.1, 2.0):
        for share in (0.01, 0.15, 1.0):
            for rate in (0.0, 0.01, 0.5):
                config = VRTDConfig(
                    growth=growth, inner_fraction=share, rate_fraction=rate, exploration=0.3 * (rate > 0)
                )
                for samples in (8_000, 32_000, 200_000):
                    assert build_estimator(config, samples).samples[-1] == samples


def test_segments_use_up_the_budget() -> None:
    lengths = geometric_blocks(100 * BLOCK)
    assert sum(lengths) == 100
    assert min(lengths) >= 1
