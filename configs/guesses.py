"""What somebody may have meant by a name that is not known: a slip of the fingers, or another library's word."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

_WORDS = {
    "learning_rate": ("lr",),
    "discount": ("gamma", "discount_factor"),
    "trace_decay": ("lam", "lambda", "gae_lambda", "gae_lam"),
    "entropy": ("ent_coef", "entropy_coef", "entropy_coefficient"),
    "temperature": ("ent_coef", "alpha"),
    "clip": ("clip_range", "clip_coef", "clip_ratio", "epsilon"),
    "ratio_clip": ("clip_range", "clip_coef", "clip_ratio", "clip"),
    "critic_coefficient": ("vf_coef", "value_coef"),
    "epochs": ("n_epochs", "num_epochs", "update_epochs"),
    "minibatches": ("num_minibatches", "n_minibatches"),
    "num_steps": ("n_steps", "rollout_length", "unroll_length"),
    "buffer_size": ("buffer", "replay_size", "capacity", "memory_size"),
    "warm_up": ("learning_starts", "warmup", "start_steps"),
    "polyak": ("tau",),
    "total_steps": ("steps", "timesteps", "total_timesteps", "num_timesteps", "n_timesteps", "max_steps"),
    "num_envs": ("n_envs", "envs"),
    "hidden": ("net_arch", "layers", "hidden_sizes", "hidden_dims", "width"),
}
"""Names here, and what they are called elsewhere."""

_ID = re.compile(r"(?:[\w-]+/)*(\w+)-v\d+")
"""A name of Gymnasium's, such as `Hopper-v5`."""


def sibling(value: str, choices: Sequence[str]) -> list[str]:
    """The choice that was meant: the same in another spelling, or what differs in a letter or two."""
    plain = {_plain(choice): choice for choice in choices}
    if _plain(value) in plain:
        return [plain[_plain(value)]]
    if _ID.fullmatch(value):
        return []  # another task, and not one that is written much alike
    inside, _, last = value.rpartition(".")
    named = [f"{inside}.{name}" if inside else name for name in _called(last)]
    known = [name for name in named if name in choices]
    return known or difflib.get_close_matches(value, choices, 1, 0.7 if "." not in value else 0.8)


def relatives(value: str, keys: Sequence[str]) -> list[str]:
    """Keys of that name, or of one that means as much, that stand somewhere else."""
    last = value.rpartition(".")[2]
    names = {key.rpartition(".")[2] for key in keys}
    near = [name for name in _called(last) if name in names] or difflib.get_close_matches(last, sorted(names), 1, 0.8)
    return [key for key in keys if key.rpartition(".")[2] in near]


def of_group(group: str, value: object, shown: str) -> str:
    """What somebody wanted who gave a group no name of a configuration, in a sentence; empty where nobody can tell."""
    if group == "network" and isinstance(value, list):
        return f" Did you mean network.hidden={shown}?"
    if group == "network" and isinstance(value, int):
        return f" Did you mean network.hidden=[{shown}]?"
    if group == "env" and isinstance(value, str) and _ID.fullmatch(value):
        return f" Did you mean env=gymnasium env.id={value}?"
    return ""


def absent(value: str, keys: Sequence[str]) -> str:
    """What to say of a setting that people look for and that is not there at all; empty for all others."""
    if value.rpartition(".")[2] in ("discount", *_WORDS["discount"]) and not relatives("discount", keys):
        return " Nothing is discounted here: algorithm=ppo and algorithm=sac have a discount."
    return ""


def _called(word: str) -> list[str]:
    return [name for name, words in _WORDS.items() if word in words]


def _plain(name: str) -> str:
    """Without what differs between styles: capitals, underscores, a version."""
    identifier = _ID.fullmatch(name)
    return re.sub(r"[_-]", "", identifier[1] if identifier else name).lower()
