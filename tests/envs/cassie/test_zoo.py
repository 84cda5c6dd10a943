"""The policies that come with the project walk."""

from pathlib import Path

import numpy as np
import pytest

from configs.build import read_config
from configs.loading import load_run
from configs.recording import roll_out
from l2t.errors import ConfigurationError
from l2t.report.study import StudyContext
from l2t.rewards.artefact import load as load_reward
from scripts.studies.adaptation import Adaptation
from scripts.studies.gait import played
from scripts.studies.walking import Walking

ZOO = Path(__file__).parents[3] / "zoo"
SHORT, QUIET = "env.episode_length=200", "env.push.force=[0,0]"


def load(run_dir, overrides=()):
    return load_run(Path(run_dir), config=read_config(Path(run_dir), [*overrides], engine="native"))


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("cassie", "teacher"),
        ("cassie", "student"),
        ("cassie_ipmd", "teacher"),
        ("cassie_commands", "teacher"),
        ("cassie_student", "teacher"),
        ("cassie_student", "student"),
        ("cassie_terrains", "teacher"),
        ("cassie_terrains", "student"),
    ],
)
def test_the_walkers_of_the_zoo_walk_as_they_were_told(name, role):
    seen = played(load(ZOO / name, [SHORT, QUIET, "env.command=forward", "env.terrain=flat"]), role, 8, seed=7)
    upright = seen.alive.all(axis=1)
    assert upright.sum() >= 7
    # After its first two seconds.
    assert seen.metrics["velocity_error"][upright, 100:].mean() < 0.3
    assert seen.metrics["x_velocity"][upright, 100:].mean() > 0.7
    for side in ("left", "right"):
        assert seen.metrics[f"{side}_clearance"][upright, 100:].max(axis=1).min() > 0.03
    assert not any(met[seen.alive.astype(bool) & upright[:, None]].any() for met in seen.endings.values())
    # Straight ahead the world's x axis is the direction: what is left out is the first step.
    walked = 0.02 * seen.metrics["speed_along"][upright, 1:].sum(axis=1)
    x = seen.metrics["x_position"][upright]
    np.testing.assert_allclose(walked, x[:, -1] - x[:, 0], atol=1e-3)
    assert seen.contacts[upright, 100:].min(axis=1).max() == 0.0  # each foot leaves the ground


@pytest.mark.parametrize("name", sorted(path.name for path in ZOO.iterdir() if path.is_dir()))
def test_a_walker_of_the_zoo_needs_nothing_beside_it(name, tmp_path, monkeypatch):
    """What it was taught by is inside: no directory that it names has to be there, and none is of some machine."""
    monkeypatch.chdir(tmp_path)
    assert load(ZOO / name).algorithm.roles
    told = [path for path in (ZOO / name).rglob("*") if path.is_file() and "/d/" not in str(path)]
    for path in told:
        for place in (b"/tmp/", b"/home/", b"/root/", b"/work/"):
            assert place not in path.read_bytes(), path


def test_who_knows_stairs_climbs_and_descends_them():
    """8 cm at 0.5 m/s; a flight leads up or down, as it is drawn."""
    given = ["env.command=forward", "env.command.forward=[0.5,0.5]", "env.terrain=stairs", "env.difficulty=0.25"]
    seen = played(load(ZOO / "cassie_terrains", ["env.episode_length=400", QUIET, *given]), "teacher", 16, seed=5)
    upright = seen.alive.all(axis=1)
    assert upright.sum() >= 12
    assert seen.metrics["x_position"][upright, -1].min() > 2.0  # past the landing, on the stairs


@pytest.mark.parametrize(
    ("told", "measured", "low", "high"),
    [
        ({"forward": (-0.3, -0.2)}, "x_velocity", -0.3, -0.12),
        ({"forward": (0.4, 0.6), "lateral": (0.2, 0.3)}, "y_velocity", 0.12, 0.3),
        ({"forward": (0.4, 0.6), "turn": (0.3, 0.4)}, "heading_error", 0.0, 0.1),
    ],
)
def test_who_walks_as_commanded_goes_backwards_and_sideways_and_turns(told, measured, low, high):
    commands = {"forward": (0.0, 0.0), "lateral": (0.0, 0.0), "turn": (0.0, 0.0)} | told
    given = [f"env.command.{name}=[{ends[0]},{ends[1]}]" for name, ends in commands.items()]
    seen = played(load(ZOO / "cassie_commands", [SHORT, QUIET, "env.command.stand=0", *given]), "teacher", 8, seed=3)
    upright = seen.alive.all(axis=1)
    assert upright.sum() >= 7
    assert low < seen.metrics[measured][upright, 100:].mean() < high


def test_the_reward_of_the_zoo_pays_its_expert_more_than_what_learnt_from_it_does_by_chance():
    nominal = [QUIET, SHORT, "env.randomisation.amount=0"]
    expert = roll_out(ZOO / "cassie", 2, overrides=nominal)
    learner = roll_out(ZOO / "cassie_ipmd", 2, actions="sampled", overrides=nominal)
    reward = load_reward(ZOO / "cassie_ipmd")
    reward.check_task(expert.spec)
    assert np.mean(reward(expert.steps)) > np.mean(reward(learner.steps)) + 0.1


def test_the_study_of_walking_tabulates_every_case_and_role():
    notices = []
    study = Walking(str(ZOO / "cassie"), {"short": [QUIET]}, roles=("teacher",), episodes=8, changes=(SHORT,))
    result = study.run(StudyContext(7, notices.append, load))
    followed, covered, gait, falls = result.tables
    (case, role, survival, error, heading, _, recovered), *others = followed.rows
    assert (case, role, recovered, others) == ("short", "teacher", "–", [])
    share, low, high = (float(each.strip("[],")) for each in survival.split())
    assert share >= 0.875
    assert low < share <= high
    walked, asked = map(float, covered.rows[0][2:4])
    assert asked == pytest.approx(4.0, abs=0.5)  # 200 steps at 1 m/s
    assert 0.5 * asked < walked < 1.2 * asked
    assert int(falls.rows[0][2]) == round(8 * (1 - share))
    assert 0.0 < float(error) < 0.3
    assert 0.0 <= float(heading) < 0.3
    assert 0.02 < float(gait.rows[0][3]) <= float(gait.rows[0][2])
    assert 2.0 < float(gait.rows[0][7]) < 4.5  # two steps each 0.7 s
    assert notices


def test_runs_under_one_reward_are_averaged_and_the_same_run_twice_leaves_no_interval():
    twice = Adaptation({"full": [str(ZOO / "cassie")] * 2}, (SHORT, QUIET), episodes=4)
    (table,) = twice.run(StudyContext(7, lambda line: None, load)).tables
    ((label, runs, survival, error, *_),) = table.rows
    assert (label, runs, survival) == ("full", "2", "1.000 [1.000, 1.000]")
    mean, low, high = error.replace("[", "").replace("]", "").replace(",", "").split()
    assert mean == low == high
    assert 0.0 < float(mean) < 0.3


def test_a_comparison_of_no_runs_is_refused():
    with pytest.raises(ConfigurationError, match=r"study\.runs"):
        Adaptation({"naive": []})
