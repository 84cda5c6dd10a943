"""Configurations of inverse reinforcement and imitation learning: data and checks, no more."""

from __future__ import annotations

from dataclasses import dataclass, field

from algorithms.config import GROUPS, SCHEDULES, SPMDConfig, TeacherConfig
from algorithms.replay.config import ReplayConfig
from l2t.config import FIXED, NetworkConfig, check_choice, check_count, check_idle, check_names, check_range, read_from
from l2t.errors import ConfigurationError

INPUTS = ("state", "state_action", "state_action_next")


@dataclass(frozen=True)
class DemonstrationsConfig:
    """What learners from demonstrations share.

    Attributes:
        demonstrations: directory of a data set that `l2t-collect` wrote; read when the run starts, and never again.
        episodes: how many of its episodes to use, drawn with `split_seed`; null for all.
        held_out: episodes of those that are not learnt from: they say when learning begins to memorise.
        split_seed: of both draws.
    """

    demonstrations: str = field(metadata=read_from("a data set that l2t-collect wrote"))
    episodes: int | None = field(default=None, metadata=FIXED)
    held_out: int = field(default=1, metadata=FIXED)
    split_seed: int = field(default=0, metadata=FIXED)

    def __post_init__(self) -> None:
        if not self.demonstrations or self.demonstrations == "???":
            raise ConfigurationError(
                "algorithm.demonstrations is missing: name a data set that l2t-collect wrote, such as "
                "algorithm.demonstrations=demonstrations/half_cheetah."
            )
        if self.episodes is not None:
            check_count("algorithm.episodes", self.episodes, 2)
            check_range("algorithm.held_out", self.held_out, 0, self.episodes - 1)
        check_count("algorithm.held_out", self.held_out, 0)
        check_count("algorithm.split_seed", self.split_seed, 0)
        if self.held_out == 0 and self.episodes is None:
            check_idle("algorithm", self, ("split_seed",), "all episodes are learnt from")


@dataclass(frozen=True)
class RewardConfig:
    """The network of a learned reward and how it is trained.

    Attributes:
        inputs: `state`, `state_action` or `state_action_next`.
        observation: group that the reward sees.
        features: names of the coordinates that it sees of that group, such as `["*velocity*"]`; none for all.
        network: smooth activations keep attributions exact.
        learning_rate, max_grad_norm: Adam's step, and the bound on the gradient's norm.
        learning_rate_schedule: `constant`, or `linear`: to zero at `total_steps`, as the policy's.
        updates: of the reward in each iteration.
        batch_size: steps of the policy, and as many of the expert, in each update.
        gradient_penalty: λ, the weight of (|∇r| - 1)₊² between policy and expert.
        overfit: the reward rests where it would pay the demonstrations it learns from so many standard deviations more
            than the held-out ones.
        mean_of: how many of the run's rewards, evenly spaced over it, the one that is left is the mean of; 1 leaves the
            last alone, which pays the policy in any case. With more than 1 a resume keeps `total_steps`.
    """

    inputs: str = field(default="state_action", metadata=FIXED)
    observation: str = field(default="teacher", metadata=FIXED)
    features: tuple[str, ...] = field(default=(), metadata=FIXED)
    network: NetworkConfig = field(default_factory=lambda: NetworkConfig((256, 256), "tanh"))
    learning_rate: float = 3e-4
    learning_rate_schedule: str = field(default="constant", metadata=FIXED)
    max_grad_norm: float = 1.0
    updates: int = field(default=8, metadata=FIXED)
    batch_size: int = field(default=256, metadata=FIXED)
    gradient_penalty: float = 0.5
    overfit: float = 0.5
    mean_of: int = field(default=1, metadata=FIXED)

    def __post_init__(self) -> None:
        check_choice("algorithm.reward.inputs", self.inputs, INPUTS)
        check_choice("algorithm.reward.observation", self.observation, GROUPS)
        check_names("algorithm.reward.features", self.features, "*velocity*")
        object.__setattr__(self, "features", tuple(self.features))
        check_range("algorithm.reward.learning_rate", self.learning_rate, 0.0, 1.0, open_low=True)
        check_choice("algorithm.reward.learning_rate_schedule", self.learning_rate_schedule, SCHEDULES)
        check_range("algorithm.reward.max_grad_norm", self.max_grad_norm, 0.0, open_low=True, allow_infinite=True)
        for name in ("updates", "batch_size", "mean_of"):
            check_count(f"algorithm.reward.{name}", getattr(self, name))
        check_range("algorithm.reward.gradient_penalty", self.gradient_penalty, 0.0)
        check_range("algorithm.reward.overfit", self.overfit, 0.0, open_low=True, allow_infinite=True)
        check_idle("algorithm.reward.network", self.network, ("initial_log_std",), "a reward is no policy")


@dataclass(frozen=True)
class InverseConfig(DemonstrationsConfig):
    """Inverse reinforcement learning in one loop: a step of the reward, then a step of the policy on it.

    Attributes:
        optimizer: what learns the policy (`algorithm.optimizer=spmd|ppo|spmd_replay|sac|rvi_sac`).
        reward: the reward's network and training.
    """

    optimizer: TeacherConfig = field(default_factory=SPMDConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.optimizer, DemonstrationsConfig) or not hasattr(self.optimizer, "num_steps"):
            raise ConfigurationError("algorithm.optimizer must be a learner: spmd, ppo, spmd_replay, sac or rvi_sac.")
        if self.held_out == 0:
            check_idle(
                "algorithm.reward", self.reward, ("overfit",), "algorithm.held_out=0 leaves nothing to compare with"
            )

    @property
    def observation(self) -> str:
        """Group that the policy sees."""
        return self.optimizer.observation

    @property
    def num_steps(self) -> int:
        """Roll-out length."""
        return self.optimizer.num_steps

    @property
    def minibatches(self) -> int:
        """Parts of each of the policy's passes."""
        return self.optimizer.minibatches


def reward_config(algorithm: object) -> InverseConfig | None:
    """What a run's algorithm, or the teacher in it, learns a reward with; None where nobody learns one."""
    parts = (algorithm, getattr(algorithm, "teacher", None))
    return next((part for part in parts if isinstance(part, InverseConfig)), None)


@dataclass(frozen=True)
class IPMDConfig(InverseConfig):
    """Inverse policy mirror descent: average reward, and maximum entropy where `optimizer.entropy` > 0.

    Attributes:
        penalty: c of the squared norm.
        bound: R of r = R tanh(.).
    """

    penalty: float = 0.2
    bound: float = 10.0

    name = "ipmd"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("algorithm.penalty", self.penalty, 0.0)
        check_range("algorithm.bound", self.bound, 0.0, open_low=True)


@dataclass(frozen=True)
class GAILConfig(InverseConfig):
    """Generative adversarial imitation learning."""

    name = "gail"


@dataclass(frozen=True)
class AIRLConfig(InverseConfig):
    """Adversarial inverse reinforcement learning; its reward without the shaping.

    The expert is where it comes to rest only with a price of entropy of 1 (`optimizer.entropy=1`, or
    `optimizer.temperature=1` off-policy); with SPMD's default of 0 the policy imitates the expert's modes alone.
    """

    name = "airl"


@dataclass(frozen=True)
class FIRLConfig(InverseConfig):
    """f-IRL: matches the expert's state distribution in an f-divergence.

    Attributes:
        divergence: `fkl`, `rkl` or `js`.
        reward_learning_rate: Adam's first step on the reward; `reward.learning_rate` is that on the density ratio.
    """

    divergence: str = "rkl"
    reward_learning_rate: float = 1e-3

    name = "f_irl"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("algorithm.divergence", self.divergence, ("fkl", "rkl", "js"))
        check_range("algorithm.reward_learning_rate", self.reward_learning_rate, 0.0, 1.0, open_low=True)


@dataclass(frozen=True)
class IQLearnConfig(DemonstrationsConfig):
    """IQ-Learn: a soft Q-function whose implied reward separates expert and policy; discounted.

    Attributes:
        replay: batches, buffer and network, as the off-policy family has them; one critic, a fixed temperature.
        discount: γ.
        chi2: a, of the χ² term 1/(4a) E r².
        temperature: α.
        actor_learning_rate: Adam's step of the actor; the critic's is `replay.learning_rate`.
    """

    replay: ReplayConfig = field(default_factory=ReplayConfig)
    discount: float = 0.99
    chi2: float = 0.5
    temperature: float = 0.01
    actor_learning_rate: float = 3e-4

    name = "iq_learn"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.replay.observation != "teacher":
            raise ConfigurationError(
                "algorithm.replay.observation must be teacher: the demonstrations hold no other group."
            )
        unused = ("actor_delay", "critic", "temperature", "initial_temperature", "n_step")
        check_idle("algorithm.replay", self.replay, unused, "iq_learn has one critic, one step and its own temperature")
        check_range("algorithm.discount", self.discount, 0.0, 1.0, open_high=True)
        check_range("algorithm.chi2", self.chi2, 0.0, open_low=True)
        check_range("algorithm.temperature", self.temperature, 0.0, open_low=True)
        check_range("algorithm.actor_learning_rate", self.actor_learning_rate, 0.0, 1.0, open_low=True)

    @property
    def num_steps(self) -> int:
        """Roll-out length."""
        return self.replay.num_steps


@dataclass(frozen=True)
class RegressionConfig:
    """How a policy is fitted to labelled states.

    Attributes:
        network: of the policy.
        learning_rate, max_grad_norm: Adam's step, and the bound on the gradient's norm.
        batch_size: states of a minibatch.
        updates: in each iteration.
    """

    network: NetworkConfig = field(default_factory=lambda: NetworkConfig((256, 256), "tanh"))
    learning_rate: float = 1e-3
    max_grad_norm: float = 1.0
    batch_size: int = field(default=256, metadata=FIXED)
    updates: int = field(default=100, metadata=FIXED)

    def __post_init__(self) -> None:
        check_range("algorithm.regression.learning_rate", self.learning_rate, 0.0, 1.0, open_low=True)
        check_range("algorithm.regression.max_grad_norm", self.max_grad_norm, 0.0, open_low=True, allow_infinite=True)
        for name in ("batch_size", "updates"):
            check_count(f"algorithm.regression.{name}", getattr(self, name))


@dataclass(frozen=True)
class CloningConfig(DemonstrationsConfig):
    """Behaviour cloning: maximum likelihood of the demonstrated actions.

    Attributes:
        regression: how the policy is fitted.
        num_steps: steps of each environment in an iteration; they show how the clone does, and teach it nothing.
    """

    regression: RegressionConfig = field(default_factory=RegressionConfig)
    num_steps: int = field(default=16, metadata=FIXED)

    name = "bc"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("algorithm.num_steps", self.num_steps)


@dataclass(frozen=True)
class DAggerConfig:
    """DAgger with all rounds kept: the expert is asked about every state that is visited.

    Attributes:
        expert_run: run directory of the expert, whose teacher is asked; read when the run starts.
        decay: β, the share of the environments that the expert drives, is decay^round; an iteration is a round.
        exploration: standard deviation of the learner's actions around its mode as it drives, in policy units.
        regression: how the policy is fitted.
        num_steps: steps of each environment in a round.
        buffer_size: states that are kept; by default more than a run visits.
    """

    expert_run: str = field(metadata=read_from("the run directory of an expert"))
    decay: float = 0.9
    exploration: float = 0.0
    regression: RegressionConfig = field(default_factory=RegressionConfig)
    num_steps: int = field(default=64, metadata=FIXED)
    buffer_size: int = field(default=1_000_000, metadata=FIXED)

    name = "dagger"

    def __post_init__(self) -> None:
        if not self.expert_run or self.expert_run == "???":
            raise ConfigurationError(
                "algorithm.expert_run is missing: DAgger asks its expert, so name the run directory of one; "
                "demonstrations alone cannot be asked (use algorithm=bc)."
            )
        check_range("algorithm.decay", self.decay, 0.0, 1.0, open_high=True)
        check_range("algorithm.exploration", self.exploration, 0.0)
        for name in ("num_steps", "buffer_size"):
            check_count(f"algorithm.{name}", getattr(self, name))
