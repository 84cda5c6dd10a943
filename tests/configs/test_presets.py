"""A preset reaches the off-policy learner, wherever it stands, and says so where there is none."""

import pytest

from configs import compose
from configs.build import experiment_config
from configs.command_line import compose_config, prepare
from configs.source import group_options
from l2t.errors import ConfigurationError

DEMONSTRATED = "algorithm.demonstrations=."
PLACES = {
    "": ["algorithm=spmd_replay"],
    "optimizer": ["algorithm=ipmd", DEMONSTRATED, "algorithm.optimizer=spmd_replay"],
    "replay": ["algorithm=iq_learn", DEMONSTRATED],
    "teacher": ["algorithm=l2t", "algorithm.teacher=sac"],
    "teacher.optimizer": [
        *("algorithm=l2t", "algorithm.teacher=ipmd", "algorithm.teacher.demonstrations=."),
        "algorithm.teacher.optimizer=rvi_sac",
    ],
}
SET = {"fast": (32, 32, 0.25), "sample": (8, 8, 1.0)}
"""`num_envs`, `num_steps` and `updates_per_step`, as docs/algorithms/replay.md has them."""


def _learner(config, place):
    learner = config.algorithm
    for part in filter(None, place.split(".")):
        learner = getattr(learner, part)
    return learner


@pytest.mark.parametrize("preset", SET)
@pytest.mark.parametrize("place", PLACES)
def test_a_preset_reaches_the_off_policy_learner_wherever_it_stands(place, preset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    typed = [*PLACES[place], f"preset={preset}"]
    for config in (experiment_config(compose_config(prepare(typed))), compose(typed)):
        learner = _learner(config, place)
        assert (config.num_envs, learner.num_steps, learner.updates_per_step) == SET[preset]


def test_there_is_a_preset_of_each_name_for_each_place():
    for place in PLACES:
        group = "/".join(["preset", *filter(None, place.split("."))])
        assert group_options(group) == sorted(SET)


def test_a_key_of_ones_own_counts_more_than_a_preset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    typed = [*PLACES["teacher"], "algorithm.teacher.num_steps=16", "preset=sample"]
    assert _learner(compose(typed), "teacher").num_steps == 16


def test_a_sweep_over_presets_keeps_to_the_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "preset/teacher=fast,sample" in prepare(["-m", *PLACES["teacher"], "preset=fast,sample"])


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["algorithm=spmd", "preset=fast"], "preset=fast is for off-policy learners, and none learns here"),
        (["preset=sample"], "preset=sample is for off-policy learners, and none learns here"),
        (["-m", "algorithm=sac,ppo", "preset=fast"], "none learns here"),
        (["-m", "algorithm=sac,iq_learn", "preset=fast"], "sweeps of their own"),
        (["algorithm=sac", "preset=slow"], "preset=slow is not known; choose one of: fast, sample"),
        (["algorithm.teacher=sac", "preset=slow"], "preset/teacher=slow is not known; choose one of: fast, sample"),
        (["algorithm=sac", "+preset=fast"], "write preset=fast."),
        (["+experiment=smoke"], "write experiment=smoke."),
        (["+env=hopper"], "write env=hopper."),
    ],
)
def test_a_preset_that_cannot_be_is_refused_in_one_line(typed, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError) as refused:
        prepare(typed)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_a_learner_in_a_place_without_presets_is_told_what_to_set(tmp_path, monkeypatch):
    (tmp_path / "conf" / "algorithm").mkdir(parents=True)
    text = "inner: {_target_: algorithms.replay.config.SACConfig}\n"
    (tmp_path / "conf" / "algorithm" / "mine.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=r"set algorithm\.inner\.num_steps, algorithm\.inner\.updates_per"):
        prepare(["--config-dir", "conf", "algorithm=mine", "preset=fast"])
