"""What only the whole of a configuration shows to be pointless is refused before anything is made or JAX imported."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from configs import train
from configs.build import experiment_config
from configs.command_line import compose_config, prepare
from l2t.errors import ConfigurationError

SHOWN = Path(__file__).parent


def _refused(monkeypatch, *arguments: str) -> str:
    monkeypatch.setitem(sys.modules, "jax", None)
    with pytest.raises(ConfigurationError) as told:
        prepare(list(arguments))
    assert "\n" not in str(told.value)
    return str(told.value)


@pytest.mark.parametrize(
    ("chosen", "key"),
    [
        (["algorithm=sac"], "algorithm.warm_up"),
        (["algorithm=l2t", "algorithm.teacher=spmd_replay"], "algorithm.teacher.warm_up"),
        (["algorithm=ipmd", "algorithm.optimizer=sac"], "algorithm.optimizer.warm_up"),
        (
            ["algorithm=l2t", "algorithm.teacher=ipmd", "algorithm.teacher.optimizer=sac"],
            "algorithm.teacher.optimizer.warm_up",
        ),
        (["algorithm=iq_learn"], "algorithm.replay.warm_up"),
    ],
    ids=["alone", "teacher", "optimiser", "teachers optimiser", "iq_learn"],
)
def test_a_run_that_ends_before_its_warm_up_is_refused(chosen, key, monkeypatch):
    given = [*chosen]
    if any(name in " ".join(chosen) for name in ("ipmd", "iq_learn")):
        owner = "algorithm.teacher" if "algorithm.teacher=ipmd" in chosen else "algorithm"
        given.append(f"{owner}.demonstrations={SHOWN}")
    told = _refused(monkeypatch, *given, "total_steps=5_000")
    assert told.startswith(f"total_steps=5,000 is no more than {key}=10,000: nothing would be learnt")
    assert _refused(monkeypatch, "-m", *given, "total_steps=50_000,5_000") == told
    prepare([*given, "total_steps=5_000", f"{key}=1_000"])


def test_the_last_batch_must_lie_behind_the_warm_up(monkeypatch):
    """The first update is in the iteration that begins when the warm-up is over."""
    given = ["algorithm=sac", "num_envs=32", "algorithm.warm_up=2_000"]  # two batches of 1,024
    assert "in whole batches of 1,024" in _refused(monkeypatch, *given, "total_steps=2_048")
    prepare([*given, "total_steps=2_049"])


def test_a_minibatch_is_no_larger_than_the_ring(monkeypatch):
    told = _refused(monkeypatch, "algorithm=sac", "algorithm.batch_size=512", "algorithm.buffer_size=500")
    assert "algorithm.batch_size=512 is more than algorithm.buffer_size=500" in told
    told = _refused(monkeypatch, "algorithm=l2t", "algorithm.teacher=sac", "algorithm.teacher.buffer_size=9")
    assert "algorithm.teacher.batch_size=256 is more than algorithm.teacher.buffer_size=9" in told


def test_from_python_it_is_refused_before_a_directory_is_made(tmp_path):
    with pytest.raises(ConfigurationError, match="nothing would be learnt"):
        train(["algorithm=sac", "env=inverted_pendulum", "total_steps=100"], tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_read_back_is_not_asked():
    assert experiment_config(compose_config(["algorithm=sac", "total_steps=100"])).total_steps == 100


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            ["algorithm=sac", "network.hidden=[8]"],
            "network.hidden=[8] would change nothing: sac has networks of its own",
        ),
        (["algorithm=sac", "network=medium"], "network=medium would change nothing"),
        (["algorithm=iq_learn", "algorithm.demonstrations=.", "network.hidden=[8]"], "algorithm.replay.network."),
        (["algorithm=bc", "algorithm.demonstrations=.", "network.activation=elu"], "algorithm.regression.network."),
        (["algorithm=distillation", "algorithm.teacher_run=.", "network.hidden=[8]"], "algorithm.student.network."),
        (
            ["algorithm=l2t", "algorithm.teacher=sac", "network.hidden=[8]"],
            "algorithm.teacher.network and algorithm.student.network.",
        ),
        (["algorithm.student.memory_size=8"], "algorithm.student.memory_size=8 would change nothing"),
        (["algorithm.student.memory_chunk=8"], "algorithm.student.memory_chunk=8 would change nothing"),
        (["algorithm.student_share_schedule=linear"], "algorithm.student_share=0"),
        (["algorithm.disturbance.steps=5"], "algorithm.disturbance.scale=0"),
        (["algorithm.student_share=0.995"], "student_share=0.995 leaves the teacher none of num_envs=64 environments"),
        (["algorithm.student_share=0.005"], "student_share=0.005 would change nothing: of num_envs=64"),
        (
            ["env=cassie", "env.difficulty=0.3"],
            "env.difficulty=0.3 would change nothing: flat ground has no difficulty",
        ),
        (["experiment=cassie_adaptation", "env.terrain=flat", "env.difficulty=0.8"], "env.difficulty=0.8"),
        (["env=cassie", "env.terrain=slope", "env.progress.step=0.1"], "nothing: env.curriculum=false"),
        (
            ["experiment=cassie_commands", "env.push.pause=[1,2]"],
            "env.push.pause=(1.0, 2.0) would change nothing: with env.push.force=[0, 0] nobody pushes",
        ),
        (["env=hopper", "env.push.training_only=true"], "env.push.training_only=True would change nothing"),
        (["physics=native", "physics.contacts=9"], "physics.contacts=9 would change nothing: physics.engine=native"),
        (["physics.constraints=9"], "physics.constraints=9 would change nothing: physics.engine=auto"),
        (["physics=mjx", "physics.threads=2"], "physics.threads=2 would change nothing: physics.engine=mjx"),
        (
            ["experiment=cassie_flat", "algorithm.student.memory=gru", "algorithm.student.replay=0"],
            "algorithm.student.memory=gru would remember one side and act on the other: with env.mirrored=true",
        ),
        (
            ["experiment=cassie_student", "algorithm.student.memory=gru", "algorithm.student.replay=0"],
            "env.student_stack",
        ),
        (
            ["algorithm=ppo", "env=hopper", "env.reset_cost=30"],
            "env.reset_cost=30 would change nothing: no learner of ppo is charged for a reset",
        ),
        (["algorithm=sac", "env.reset_cost=0"], "env.reset_cost=0 would change nothing"),
        (["-m", "algorithm=sac,ppo", "env.reset_cost=1,2"], "env.reset_cost=1 would change nothing"),
        (["algorithm=l2t", "algorithm.teacher=ppo", "env.reset_cost=30"], "no learner of l2t is charged for a reset"),
        (["algorithm=ipmd", "algorithm.demonstrations=.", "algorithm.optimizer=ppo", "env.reset_cost=3"], "of ipmd is"),
        (["algorithm=bc", "algorithm.demonstrations=.", "env.reset_cost=3"], "of bc is charged"),
        (
            ["algorithm=spmd", "env.student_noise=0.1"],
            "env.student_noise=0.1 would change nothing: nobody in spmd looks at the observation group student",
        ),
        (["algorithm=spmd_vrtd", "++env.student_stack=2"], "env.student_stack=2 would change nothing"),
        (["algorithm=rvi_sac", "env.student_previous_action=true"], "env.student_previous_action=true would change"),
        (["experiment=cassie_commands", "env.noise.gyro=0.1"], "env.noise.gyro=0.1 would change nothing"),
    ],
)
def test_what_nobody_would_look_at_is_refused(given, told, monkeypatch):
    assert told in _refused(monkeypatch, *given)


@pytest.mark.parametrize(
    "given",
    [
        ["algorithm=spmd", "network.hidden=[8]"],
        ["algorithm=l2t", "algorithm.teacher=sac", "algorithm.student.network=small"],
        ["algorithm=ipmd", "algorithm.demonstrations=.", "network.hidden=[8]"],
        ["algorithm=spmd_vrtd", "network=medium"],
        ["algorithm=sac", "algorithm.network.hidden=[8]"],
        ["algorithm.student.memory=gru", "algorithm.student.memory_size=8"],
        ["algorithm.student_share=0.016"],
        ["algorithm.student_share=0.005", "num_envs=256"],
        ["env=cassie", "env.terrain=slope", "env.difficulty=0.3"],
        ["experiment=cassie_terrains", "env.terrain=flat", "env.curriculum=false"],  # difficulty is the experiment's
        ["experiment=cassie_terrains", "env.progress.step=0.1"],
        ["experiment=cassie_flat", "env.push.force=[0,0]"],  # pause and training_only are the experiment's
        ["experiment=cassie_commands", "env.push.pause=[4,8]"],  # as by default
        ["env=hopper", "env.push.force=[1,2]", "env.push.pause=[1,2]"],
        ["physics=native", "physics.threads=1"],
        ["physics=mjx", "physics.allow_cpu=true"],
        [
            *("experiment=cassie_flat", "algorithm.student.memory=gru", "algorithm.student.replay=0"),
            "env.mirrored=false",
        ],
        ["algorithm=spmd", "env=hopper", "env.reset_cost=30"],
        ["algorithm=spmd_vrtd", "env.reset_cost=30"],
        ["algorithm=rvi_sac", "env.reset_cost=30"],
        ["algorithm=ipmd", "algorithm.demonstrations=.", "env.reset_cost=0"],
        ["algorithm=l2t", "algorithm.teacher=spmd_replay", "env.reset_cost=30"],
        [  # the student has a reward and a critic of its own, which is charged
            *("algorithm=l2t", "algorithm.teacher=ipmd", "algorithm.teacher.demonstrations=."),
            *("algorithm.teacher.optimizer=ppo", "algorithm.student.rl_coefficient=0.1", "env.reset_cost=3"),
        ],
        ["-m", "algorithm=ppo,spmd", "env.reset_cost=30,40"],  # one of the two looks at it
        ["-m", "algorithm=spmd,l2t", "env.student_stack=2"],
        ["-m", "experiment=spmd_beside_ppo", "env.reset_cost=30"],
        ["-m", "experiment=glob(attribution_*)"],  # costs of the experiments' own
        ["algorithm=l2t", "env.student_noise=0.1", "env.student_stack=2"],
        ["algorithm=distillation", "algorithm.teacher_run=.", "env.student_stack=2"],
        ["algorithm=ppo", "algorithm.observation=student", "env.student_noise=0.1"],
        ["algorithm=spmd", "algorithm.critic_observation=student", "env.student_noise=0.1"],
        ["algorithm=spmd_vrtd", "algorithm.actor.observation=student", "env.student_noise=0.1"],
        ["algorithm=sac", "algorithm.observation=student", "env.student_stack=2"],
    ],
)
def test_what_somebody_looks_at_is_taken(given, monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)
    prepare(given)


def test_from_python_too(tmp_path):
    with pytest.raises(ConfigurationError, match="would change nothing"):
        train(["algorithm=sac", "env=inverted_pendulum", "network.hidden=[8]"], tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
