"""What a student's sensors would have said along episodes of which only the exact observations were recorded."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from envs.cassie import dynamics, observation
from envs.cassie.settings import RandomisationConfig

SENSED = len(observation.names(observation.SENSED))
SHOWN = len(observation.names(observation.STUDENT))


def sensed_along(
    key: Key[Array, ""],
    exact: Float[Array, "time n"],
    first: Bool[Array, " time"],
    randomisation: RandomisationConfig,
    scales: Float[np.ndarray, " sensed"],
    mirrored: bool,
) -> Float[Array, "time student"]:
    """The student's coordinates of a teacher's observations, late, biased and noisy as in an episode of its own.

    Encoder biases and delays are drawn for each episode. In a mirrored recording left and right change places whenever
    the clock begins its half cycle anew, and with them what was sensed before and the biases.

    Args:
        key: of everything that is drawn.
        exact: the `teacher` group before each step.
        first: where an episode begins.
        randomisation: of biases and delays.
        scales: standard deviations of the noise.
        mirrored: see `CassieConfig.mirrored`.
    """
    reflect = observation.reflection(observation.SENSED)
    first = first.at[0].set(True)
    again = turned_along(exact, first) & mirrored
    noise_key, episode_key = jax.random.split(key)
    noise = jnp.asarray(scales) * jax.random.normal(noise_key, (exact.shape[0], SENSED))

    def show(carry: tuple[Array, Array, Array], xs: tuple[Array, ...]) -> tuple[tuple[Array, Array, Array], Array]:
        bias, late, before = carry
        sensed, noise, first, again, index = xs
        drawn = dynamics.draw(jax.random.fold_in(episode_key, index), randomisation)
        bias = jnp.where(first, observation.encoder_bias(drawn), jnp.where(again, reflect(bias), bias))
        late = jnp.where(first, drawn.sensor_delay, late)
        now = sensed + bias + noise
        shown = jnp.where(late & ~first, jnp.where(again, reflect(before), before), now)
        return (bias, late, now), shown

    start = (jnp.zeros(SENSED), jnp.asarray(False), jnp.zeros(SENSED))
    steps = jnp.arange(exact.shape[0])
    shown = jax.lax.scan(show, start, (exact[:, :SENSED], noise, first, again, steps))[1]
    return jnp.concatenate([shown, exact[:, SENSED:SHOWN]], axis=1)


def turned_along(exact: Float[Array, "time n"], first: Bool[Array, " time"]) -> Bool[Array, " time"]:
    """Where the clock of a mirrored recording begins its half cycle anew, and so the mirror comes or goes.

    Where no clock is shown it stands still.
    """
    sine, cosine = exact[:, SHOWN - 2], exact[:, SHOWN - 1]
    angle = jnp.mod(jnp.arctan2(sine, cosine), 2 * jnp.pi)
    runs = sine**2 + cosine**2 > 0.5
    last = jax.lax.cummax(jnp.where(runs | first, jnp.arange(len(angle)), 0))
    angle = jnp.where(runs[last], angle[last], 0.0)
    return jnp.concatenate([jnp.zeros(1, bool), angle[1:] < angle[:-1]]) & ~first
