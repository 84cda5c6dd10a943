import dataclasses
import importlib.util
import subprocess
import sys
from functools import cache
from inspect import signature
from pathlib import Path

import pytest
from omegaconf import OmegaConf

import configs
from configs.build import experiment_config, read_config
from configs.command_line import compose_config
from configs.record import changed
from configs.schema import KEYS, ExperimentConfig
from configs.source import group_options
from l2t.errors import ConfigurationError, MissingDependencyError
from scripts import studies

studies.register()
ROOTS = [Path(module.__file__).parent for module in (configs, studies)]
DEMONSTRATED = ("ipmd", "gail", "airl", "f_irl", "iq_learn", "bc")
MILLION = ["total_steps=1_000_000"]
CASSIE = ("env/terrain", "env/command", "env/rewards")
PRESETS = {
    "preset": ["algorithm=spmd_replay"],
    "preset/optimizer": ["algorithm=ipmd", "algorithm.demonstrations=somewhere", "algorithm/optimizer=sac"],
    "preset/replay": ["algorithm=iq_learn", "algorithm.demonstrations=somewhere"],
    "preset/teacher": ["algorithm/teacher=sac"],
    "preset/teacher/optimizer": [
        *("algorithm/teacher=ipmd", "algorithm.teacher.demonstrations=somewhere", "algorithm/teacher/optimizer=sac")
    ],
}
NEEDS = {
    "env=gymnasium": ["env.id=Pendulum-v1"],
    **{f"algorithm={name}": ["algorithm.demonstrations=somewhere"] for name in DEMONSTRATED},
    **{
        f"algorithm/optimizer={name}": ["algorithm=ipmd", "algorithm.demonstrations=somewhere"]
        for name in group_options("algorithm/optimizer")
    },
    **{
        f"algorithm/teacher/optimizer={name}": ["algorithm/teacher=ipmd", "algorithm.teacher.demonstrations=somewhere"]
        for name in group_options("algorithm/teacher/optimizer")
    },
    **{f"{group}={name}": needs for group, needs in PRESETS.items() for name in group_options(group)},
    **{f"algorithm/teacher={name}": ["algorithm.teacher.demonstrations=somewhere"] for name in DEMONSTRATED[:4]},
    "algorithm=dagger": ["algorithm.expert_run=somewhere"],
    "algorithm=distillation": ["algorithm.teacher_run=somewhere"],
    "experiment=mujoco_evaluation": ["study.policy_run=somewhere"],
    "experiment=cassie_walking": ["study.policy_run=somewhere"],
    "experiment=cassie_ground": ["study.policy_run=somewhere"],
    "experiment=cassie_rewards": ["study.runs={naive:[somewhere]}"],
    **{f"{group}={name}": ["env=cassie"] for group in CASSIE for name in group_options(group)},
}
GROUPS = (
    *("algorithm", "algorithm/teacher", "algorithm/student", "algorithm/optimizer", "algorithm/teacher/optimizer"),
    *("env", *CASSIE, "physics", "network", "tracking", *PRESETS, "experiment"),
)
CHOICES = [f"{group}={choice}" for group in GROUPS for choice in group_options(group)]


@cache
def _composed(choice):
    return compose_config([choice, *NEEDS.get(choice, [])])


def test_cassies_naive_reward_pays_for_commands_and_posture_alone_and_as_much_as_the_full_one():
    full, naive = (
        experiment_config(compose_config(["env=cassie", f"env/rewards={name}"])).env.rewards
        for name in ("full", "naive")
    )
    assert sum(vars(full).values()) == pytest.approx(1.0)
    assert sum(vars(naive).values()) == pytest.approx(1.0)
    paid = {name for name, weight in vars(naive).items() if weight > 0.0}
    assert paid == {"forward", "lateral", "turn", "orientation"}


@pytest.mark.parametrize("choice", CHOICES)
def test_every_yaml_composes_and_instantiates(choice):
    composed = _composed(choice)
    if choice == "physics=warp" and importlib.util.find_spec("warp") is None:
        with pytest.raises(MissingDependencyError, match="pip install"):
            experiment_config(composed)
    else:
        assert isinstance(experiment_config(composed), ExperimentConfig)


@pytest.mark.parametrize("choice", CHOICES)
def test_every_field_of_what_a_yaml_names_is_there_so_that_the_command_line_can_set_it(choice):
    for node in _nodes(_composed(choice)):
        module, _, name = node["_target_"].rpartition(".")
        cls = getattr(__import__(module, fromlist=[name]), name)
        names = (
            [field.name for field in dataclasses.fields(cls)]
            if dataclasses.is_dataclass(cls)
            else signature(cls).parameters
        )
        assert set(names) == set(node) - {"_target_"}


@pytest.mark.parametrize("group", ["process", "method"])
def test_every_process_and_method_can_join_a_study(group):
    place = {"process": "processes", "method": "methods"}[group]
    for choice in group_options(group):
        composed = compose_config(["experiment=amdp_exploration", f"+{group}@study.{place}.another={choice}"])
        assert "another" in getattr(experiment_config(composed).study, place)


def _nodes(node):
    children = [node[key] for key in node if OmegaConf.is_dict(node[key])]
    below = [found for child in children for found in _nodes(child)]
    return [node, *below] if "_target_" in node else below


def test_the_root_has_exactly_the_keys_of_the_schema():
    assert set(compose_config([])) == set(KEYS)


def test_the_defaults_of_the_root_are_those_of_the_schema():
    config = experiment_config(compose_config([]))
    for field in dataclasses.fields(ExperimentConfig):
        if field.default is not dataclasses.MISSING:
            assert getattr(config, field.name) == field.default
    assert (config.algorithm.name, config.env.name, config.physics.engine) == ("l2t", "half_cheetah", "auto")


def test_every_task_has_a_configuration_of_its_own_name():
    from envs.config import MUJOCO_TASKS

    for task in MUJOCO_TASKS:
        assert experiment_config(compose_config([f"env={task}"])).env.name == task


@pytest.mark.parametrize(
    ("name", "changed"), [("spmd", {"entropy": 0.05, "ratio_clip": float("inf")}), ("ppo", {})], ids=["spmd", "ppo"]
)
def test_the_teachers_of_learn_to_teach_are_the_algorithms_with_more_exploration(name, changed):
    alone = experiment_config(compose_config([f"algorithm={name}"])).algorithm
    teacher = experiment_config(compose_config([f"algorithm/teacher={name}"])).algorithm.teacher
    assert teacher == dataclasses.replace(alone, **changed)


@pytest.mark.parametrize(
    ("experiment", "arguments"),
    [
        ("l2t_hopper", ["env=hopper", "env.student_stack=16", "algorithm.teacher.entropy=0.1", *MILLION]),
        ("l2t_walker2d", ["env=walker2d", "env.student_stack=16", "algorithm.teacher.entropy=0.1", *MILLION]),
        (
            "l2t_ant",
            [
                *("env=ant", "network.initial_log_std=-1.0"),
                *("algorithm.teacher.ratio_clip=0.5", "algorithm.teacher.horizon=100"),
            ],
        ),
    ],
)
def test_an_experiment_is_its_row_of_the_results(experiment, arguments):
    named = experiment_config(compose_config([f"experiment={experiment}"]))
    assert named == experiment_config(compose_config(arguments))
    changed = experiment_config(compose_config([f"experiment={experiment}", "env.student_noise=0.2", "total_steps=5"]))
    assert (changed.env.student_noise, changed.total_steps) == (0.2, 5)


@pytest.mark.parametrize("algorithm", ["l2t", "spmd", "ppo"])
def test_a_configuration_builds_an_algorithm_that_trains(algorithm):
    import jax

    from configs.loading import build

    overrides = [f"algorithm={algorithm}", "env=inverted_pendulum", "physics=native", "num_envs=4"]
    environment, built, _ = build(experiment_config(compose_config(overrides)))
    before = jax.eval_shape(built.init, jax.random.key(0))
    after, metrics = jax.eval_shape(built.iterate, before)
    assert jax.tree.structure(before) == jax.tree.structure(after)
    assert [leaf.shape for leaf in jax.tree.leaves(before)] == [leaf.shape for leaf in jax.tree.leaves(after)]
    assert {f"env_steps/{role}" for role in built.roles} <= set(metrics)
    assert environment.spec.name == "inverted_pendulum"


def test_composing_and_checking_imports_neither_jax_nor_mujoco():
    code = (
        "import sys; from configs.command_line import prepare; prepare(['env=hopper']);"
        "heavy = {'jax', 'flax', 'mujoco', 'wandb', 'orbax', 'gymnasium'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("overrides", "value"), [(["total_steps=2e6"], 2_000_000), (["total_steps=3_000"], 3_000), (["total_steps=7"], 7)]
)
def test_steps_may_be_written_as_people_write_them(overrides, value):
    assert experiment_config(compose_config(overrides)).total_steps == value


def test_a_package_of_a_stranger_plugs_in_by_its_target(tmp_path, monkeypatch):
    (tmp_path / "stranger.py").write_text(
        "from dataclasses import dataclass\n"
        "@dataclass(frozen=True)\n"
        "class MyConfig:\n"
        "    speed: float = 1.0\n"
        "    name: str = 'mine'\n"
        "    def build(self, context): return self\n"
    )
    (tmp_path / "configs" / "algorithm").mkdir(parents=True)
    (tmp_path / "configs" / "algorithm" / "mine.yaml").write_text("_target_: stranger.MyConfig\nspeed: 2.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    from configs.command_line import prepare

    arguments = prepare(["--config-dir", str(tmp_path / "configs"), "algorithm=mine", "algorithm.speed=3"])
    config = experiment_config(compose_config(arguments))
    assert config.algorithm.speed == 3
    with pytest.raises(ConfigurationError, match=r"algorithm\.sped is not known.*algorithm\.speed"):
        prepare(["--config-dir", str(tmp_path / "configs"), "algorithm=mine", "+algorithm.sped=3"])


def test_a_target_that_builds_nothing_trainable_is_refused():
    overrides = ["algorithm=spmd", "algorithm._target_=builtins.dict"]
    with pytest.raises(ConfigurationError, match="gave a dict; it needs a `name` and a `build` method"):
        experiment_config(compose_config(overrides))


@pytest.mark.parametrize("name", ["l2t", "distillation"])
def test_a_run_from_before_its_classes_moved_is_read_as_it_was(name):
    config = compose_config([f"algorithm={name}", *(["algorithm.teacher_run=x"] if name == "distillation" else [])])
    before = OmegaConf.create(OmegaConf.to_yaml(config).replace("algorithms.teaching.config.", "algorithms.config."))
    assert before != config
    assert experiment_config(before) == experiment_config(config)


def test_a_run_from_before_cassies_reward_terms_were_called_so_is_read_as_it_was():
    config = compose_config(["algorithm=spmd", "env=cassie"])
    before = OmegaConf.create(OmegaConf.to_yaml(config).replace("RewardTermsConfig", "RewardConfig"))
    assert before != config
    assert experiment_config(before) == experiment_config(config)


@pytest.mark.parametrize("name", ["l2t", "distillation"])
def test_a_run_from_before_an_option_did_what_it_did_then(name, tmp_path):
    config = compose_config([f"algorithm={name}", *(["algorithm.teacher_run=x"] if name == "distillation" else [])])
    assert config.algorithm.student.clip_labels
    OmegaConf.set_struct(config, False)
    del config.algorithm.student["clip_labels"]
    (tmp_path / ".hydra").mkdir()
    OmegaConf.save(config, tmp_path / ".hydra" / "config.yaml")
    before, now = read_config(tmp_path), experiment_config(config)
    assert not before.algorithm.student.clip_labels
    # ... so that a resume, which begins with today's defaults, says what it changes.
    assert changed(before, now) == {"algorithm.student.clip_labels": (False, True)}
    assert read_config(tmp_path, ["algorithm.student.clip_labels=true"]).algorithm.student.clip_labels
