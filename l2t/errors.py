"""Errors a user can act on: each message names the cause and the cure."""


class L2TError(Exception):
    """Base of every expected failure; entry points print its message without a traceback."""


class ConfigurationError(L2TError):
    """A configuration value is unknown, out of range or inconsistent."""


class MissingDependencyError(L2TError):
    """An optional package or device that the configuration asks for is absent."""


class RunDirectoryError(L2TError):
    """The run directory cannot be written, or is not one that this program wrote."""


class CheckpointError(L2TError):
    """A checkpoint is absent, corrupt, or belongs to another configuration."""


class DivergenceError(L2TError):
    """Training produced a number that is not finite."""


class ForeignEnvironmentError(L2TError):
    """The code of an environment from elsewhere failed in the middle of a program.

    Attributes:
        details: its traceback, as text; empty where nobody kept it.
    """

    details: str = ""


class ModelError(L2TError):
    """A Markov decision process or a policy is not one: shapes that differ, rows that are no distributions."""


class ReducibleChainError(ModelError):
    """A chain has several recurrent classes, so its reward rate depends on where it starts."""


class FeatureError(L2TError):
    """Features of state-action pairs are no table, or depend on each other."""


class DemonstrationError(L2TError):
    """Demonstrations are absent, damaged, or of another task than the one at hand."""
