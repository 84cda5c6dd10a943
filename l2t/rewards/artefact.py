"""A learned reward on disk: what a run leaves behind, to be asked, analysed and trained on without that run.

The folder holds `reward.json` (what the network is, what it was learnt from, a checksum) and `weights.msgpack` (weights
and normaliser). It is written whole or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from l2t.config import NetworkConfig, check_path
from l2t.errors import ConfigurationError, L2TError
from l2t.rewards.model import RewardModel
from l2t.rl.models import ModelState
from l2t.rl.types import EnvironmentSpec, Transitions

FORMAT = 1
DESCRIPTION, WEIGHTS = "reward.json", "weights.msgpack"


class RewardError(L2TError):
    """A learned reward that cannot be read, written or asked."""


class OtherTaskWarning(UserWarning):
    """A learned reward pays in another task than it was learnt in."""


@dataclass(frozen=True)
class LearnedReward:
    """r_φ with everything that belongs to it.

    Attributes:
        model: what it is a function of.
        state: its weights and normaliser.
        task: the task it was learnt on.
        names: of the columns of x, observation first.
        provenance: how it came about: algorithm, demonstrations, steps, seed, versions.
    """

    model: RewardModel
    state: ModelState
    task: str
    names: tuple[str, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, steps: Transitions) -> Float[Array, " *batch"]:
        """r of transitions, as it was in training."""
        return self.model(self.state, steps)

    def of(self, observation: Any, action: Any = None, following: Any = None) -> Float[np.ndarray, " *batch"]:
        """r at raw observations, `[n]` or `[batch, n]`; actions in policy units (clipped), where it looks at them.

        Raises:
            RewardError: something that the reward looks at is missing, not finite, or has another length.
        """
        return np.asarray(_evaluate(self.model, self.state, jnp.asarray(self.inputs(observation, action, following))))

    def inputs(self, observation: Any, action: Any = None, following: Any = None) -> Float[np.ndarray, "*batch n"]:
        """x: what the reward looks at, side by side."""
        parts = {"observation": observation}
        if self.model.inputs != "state":
            parts["action"] = action
        if self.model.inputs == "state_action_next":
            parts["following"] = following
        arrays = []
        for name, part in parts.items():
            size = self.model.action_size if name == "action" else self.model.observation_size
            array = np.asarray(np.nan if part is None else part, np.float32)
            if array.ndim == 0 or array.shape[-1] != size:
                given = "missing" if part is None else f"of shape {list(array.shape)}"
                raise RewardError(f"The {name} is {given}; this reward looks at [..., {size}] of it.")
            looked_at = array if name == "action" else self.model.looked_at(array)
            if not np.isfinite(looked_at).all():
                raise RewardError(f"The {name} holds a number that is not finite.")
            # As it is played: a step is paid for an action within the box.
            arrays.append(np.clip(looked_at, -1.0, 1.0) if name == "action" else looked_at)
        return np.concatenate(arrays, axis=-1)

    def table(self, steps: Transitions) -> Float[np.ndarray, "*batch n"]:
        """x of transitions, raw: the samples that the analyses ask for, one column for each of `names`."""
        return np.asarray(self.model.stack(steps))

    def of_inputs(self, x: Float[Array, "*batch n"]) -> Float[Array, " *batch"]:
        """r(x); differentiable by JAX, as the analyses ask."""
        return self.model.of_inputs(self.state, x)

    def check_task(self, spec: EnvironmentSpec) -> None:
        """Raise unless a task shows what the reward looks at.

        Warns where one of the two does not name its columns and the tasks differ.

        Raises:
            ConfigurationError: it shows more or less.
            RewardError: it shows as much, but something else.
        """
        wanted = (self.model.observation_size, self.model.action_size)
        found = (spec.observation_sizes.get(self.model.group, 0), spec.action_size)
        if wanted != found:
            raise ConfigurationError(
                f"The learned reward of {self.task} looks at {wanted[0]} observations of the {self.model.group} group "
                f"and {wanted[1]} actions; {spec.name} has {found[0]} and {found[1]}."
            )
        self._check_names(spec)

    def _check_names(self, spec: EnvironmentSpec) -> None:
        """Two robots can be of the same sizes; of one robot, another ground or other masses change no name."""
        unnamed, shown = self.model.names(replace(spec, observation_names={}, action_names=())), self.model.names(spec)
        columns = list(zip(self.names, shown, unnamed, strict=True))
        differ = [(ours, theirs) for ours, theirs, number in columns if ours != theirs and number not in (ours, theirs)]
        if differ:
            ours, theirs = differ[0]
            raise RewardError(
                f"The learned reward of {self.task} looks at other things than {spec.name} shows: {ours!r} is "
                f"{theirs!r} there ({len(differ)} of {len(columns)} differ); name a reward that was learnt on "
                f"{spec.name}."
            )
        if self.task != spec.name and any(number in (ours, theirs) for ours, theirs, number in columns):
            warnings.warn(
                f"The reward was learnt on {self.task}, this is {spec.name}: whether its {len(columns)} inputs mean "
                "the same here is not known, for not all of them have names.",
                OtherTaskWarning,
                stacklevel=3,
            )

    def description(self) -> dict[str, Any]:
        """Everything but the weights, as JSON."""
        return {
            "format": FORMAT,
            "task": self.task,
            "names": list(self.names),
            "model": asdict(self.model),
            "provenance": dict(self.provenance),
        }

    def save(self, path: str | Path) -> Path:
        """Write the folder, in place of one that is there.

        Raises:
            RewardError: it cannot be written.
        """
        path = check_path("reward", path)
        weights = flax.serialization.to_bytes(jax.device_get(self.state))
        temporary = path.absolute().with_name(f".{path.name}.{os.getpid()}")
        try:
            temporary.mkdir(parents=True)
            (temporary / WEIGHTS).write_bytes(weights)
            described = self.description() | {"checksum": zlib.crc32(weights)}
            (temporary / DESCRIPTION).write_text(json.dumps(described, indent=2) + "\n")
            if (path / DESCRIPTION).is_file():
                shutil.rmtree(path)
            temporary.rename(path)
        except OSError as error:
            raise RewardError(f"{path} cannot be written: {error.strerror or error}.") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return path


def load(path: str | Path) -> LearnedReward:
    """Read a folder that `LearnedReward.save` wrote; a run directory's is its `reward/`.

    Raises:
        RewardError: nothing is there, or it is damaged or of another version.
    """
    path = check_path("reward", path)
    folder = path / "reward" if (path / "reward" / DESCRIPTION).is_file() else path
    try:
        described = json.loads((folder / DESCRIPTION).read_text())
        weights = (folder / WEIGHTS).read_bytes()
    except FileNotFoundError as error:
        raise RewardError(
            f"{path} holds no learned reward: a finished run of ipmd, gail, airl or f_irl leaves one in reward/."
        ) from error
    except (OSError, ValueError) as error:
        raise RewardError(f"{folder} cannot be read: {str(error).splitlines()[0]}") from error
    if described.get("format") != FORMAT:
        raise RewardError(f"{folder} is of format {described.get('format')}, and this version reads format {FORMAT}.")
    if described.get("checksum") != zlib.crc32(weights):
        raise RewardError(f"{folder / WEIGHTS} is damaged: its checksum does not match; copy it from its run again.")
    model = model_of(described["model"])
    like = jax.eval_shape(model.init, jax.random.key(0))
    state = jax.tree.map(jnp.asarray, flax.serialization.from_bytes(like, weights))
    return LearnedReward(model, state, described["task"], tuple(described["names"]), described["provenance"])


def model_of(described: Mapping[str, Any]) -> RewardModel:
    """The network that `description()["model"]` describes."""
    columns = tuple(described.get("columns", ()))  # artefacts of older versions look at everything
    return RewardModel(**{**described, "network": NetworkConfig(**described["network"]), "columns": columns})


@partial(jax.jit, static_argnums=0)
def _evaluate(model: RewardModel, state: ModelState, x: Float[Array, "*batch n"]) -> Float[Array, " *batch"]:
    return model.of_inputs(state, x)
