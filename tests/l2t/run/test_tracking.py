import inspect
import io
import json
import os
import subprocess
import sys
import types

import pytest
from rich.console import Console

from l2t.errors import ConfigurationError
from l2t.run.directory import RunDirectory
from l2t.run.tracking.base import Trackers, mean_over_seeds
from l2t.run.tracking.config import WandbConfig
from l2t.run.tracking.console import ConsoleTracker
from l2t.run.tracking.jsonl import JsonlTracker
from l2t.run.tracking.wandb import WandbTracker
from tests.support.toys import Recorder


def row(step, **metrics):
    names = {"speed": "perf/steps_per_second", "train": "train/episode_return", "teacher": "eval/teacher/return_mean"}
    return {"step": step, "wall_seconds": 1.0} | {names.get(name, name): value for name, value in metrics.items()}


def console(**options):
    return Console(file=io.StringIO(), width=140, highlight=False, **options)


def text(of):
    assert isinstance(of.file, io.StringIO)
    return of.file.getvalue()


def test_off_a_terminal_there_are_plain_lines_and_no_control_characters():
    out = console()
    tracker = ConsoleTracker(1000, console=out)
    tracker.log([row(100, speed=50.0, train=1234.5)])
    tracker.finish("finished")
    assert text(out) == "step 100 of 1,000, 0:00:18 left, 50 steps/s, train 1,234.5\n"


def test_plain_lines_are_rare_but_every_evaluation_gets_one():
    out = console()
    tracker = ConsoleTracker(1000, console=out)
    for step in range(100, 600, 100):
        tracker.log([row(step, speed=50.0, **({"teacher": 7.0} if step == 400 else {}))])
    assert [line.split(",")[0] for line in text(out).splitlines()] == ["step 100 of 1", "step 400 of 1"]
    assert "eval teacher 7.0" in text(out)


def test_on_a_terminal_there_is_a_bar_with_the_numbers():
    out = console(force_terminal=True)
    tracker = ConsoleTracker(2_000_000, console=out)
    tracker.log([row(1_000_000, speed=20_000.0, train=3.0, teacher=5.0)])
    tracker.notice("a [line] between")
    tracker.finish("finished")
    for part in ("1M/2M", "50%", "20,000 steps/s", "train 3.0", "eval teacher 5.0", "a [line] between"):
        assert part in text(out)


def test_time_left_counts_the_steps_of_one_seed():
    out = console()
    ConsoleTracker(1000, console=out).log([row(100, seed=seed, speed=100.0) for seed in (0, 1)])
    assert "0:00:18 left" in text(out)


def test_metrics_are_averaged_over_seeds_without_the_bookkeeping():
    rows = [row(10, seed=0, train=1.0, extra=5), row(10, seed=1, train=3.0)]
    assert mean_over_seeds(rows) == {"train/episode_return": 2.0}


def test_rows_reach_the_file_in_order(tmp_path):
    directory = RunDirectory(tmp_path)
    tracker = JsonlTracker(directory)
    tracker.log([row(1), row(2)])
    tracker.log([row(3)])
    assert [json.loads(line)["step"] for line in directory.metrics.read_text().splitlines()] == [1, 2, 3]


def test_one_tracker_that_fails_to_close_does_not_keep_the_others_open():
    class Stuck(Recorder):
        def finish(self, status):
            raise OSError

    last = Recorder()
    Trackers(Stuck(), last).finish("failed")
    assert last.finished == ["failed"]


class FakeRun:
    id = "abc"

    def __init__(self, broken=False):
        self.logged, self.summary, self.finished, self.broken = [], {}, [], broken

    def log(self, metrics, step):
        if self.broken:
            raise RuntimeError("connection lost")
        self.logged.append((step, metrics))

    def finish(self, exit_code=None):
        self.finished.append(exit_code)


def test_the_stand_in_is_called_as_the_real_package_can_be():
    import wandb

    for name in ("finish", "log"):
        real, stand_in = (inspect.signature(getattr(owner, name)).parameters for owner in (wandb.Run, FakeRun))
        assert set(stand_in) - {"metrics"} <= set(real)


@pytest.fixture
def wandb(monkeypatch):
    """A stand-in for the package; `answers` holds what each `init` does."""
    fake = types.SimpleNamespace(answers=[], calls=[], Settings=lambda **options: options)

    def init(**options):
        fake.calls.append(options)
        answer = fake.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    fake.init = init
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return fake


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)


def start(tmp_path, notices, mode="offline", run_id=None):
    return WandbTracker(WandbConfig(mode=mode), tmp_path, {"seed": 0}, run_id, notices.append)


def test_wandb_gets_the_mean_of_the_seeds_at_the_environment_step(wandb, tmp_path):
    wandb.answers = [run := FakeRun()]
    tracker = start(tmp_path, [])
    tracker.log([row(10, seed=0, train=1.0), row(10, seed=1, train=3.0)])
    tracker.finish("finished")
    assert run.logged == [(10, {"train/episode_return": 2.0, "wall_seconds": 1.0})]
    assert run.finished == [0]
    assert run.summary == {"status": "finished"}


def test_wandb_continues_the_run_it_is_given(wandb, tmp_path):
    wandb.answers = [FakeRun()]
    assert start(tmp_path, [], run_id="abc").run_id == "abc"
    assert (wandb.calls[0]["id"], wandb.calls[0]["resume"]) == ("abc", "allow")


def test_without_a_connection_wandb_records_offline_and_says_so_once(wandb, tmp_path):
    wandb.answers = [RuntimeError("no API key\nlong story"), FakeRun()]
    notices = []
    assert start(tmp_path, notices, "online").run_id == "abc"
    assert [call["mode"] for call in wandb.calls] == ["online", "offline"]
    assert notices == ["W&B could not start in mode online (no API key); recording offline instead."]


def test_training_goes_on_when_wandb_cannot_start_or_breaks(wandb, tmp_path):
    wandb.answers = [RuntimeError("broken"), FakeRun(broken=True)]
    notices = []
    dead = start(tmp_path, notices)
    dead.log([row(1)])
    dead.finish("finished")
    breaks = start(tmp_path, notices)
    breaks.log([row(1)])
    breaks.log([row(2)])
    assert notices == [
        "W&B could not start in mode offline (broken); training goes on without it.",
        "W&B stopped recording (connection lost); training goes on without it.",
    ]


def test_disabled_means_that_wandb_is_not_even_imported(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "wandb", None)
    notices = []
    start(tmp_path, notices, "disabled").log([row(1)])
    assert notices == []


@pytest.mark.parametrize(
    ("variables", "configured", "mode", "project"),
    [
        ({}, {}, "offline", "l2t"),
        ({"WANDB_MODE": "online", "WANDB_PROJECT": "robots"}, {}, "online", "robots"),
        ({"WANDB_MODE": "dryrun"}, {}, "offline", "l2t"),
        ({"WANDB_MODE": "run"}, {}, "online", "l2t"),
        ({"WANDB_MODE": "", "WANDB_PROJECT": ""}, {}, "offline", "l2t"),
        ({"WANDB_MODE": "online", "WANDB_PROJECT": "a"}, {"mode": "offline", "project": "l2t"}, "offline", "l2t"),
        ({"WANDB_DISABLED": "true"}, {"mode": "online"}, "online", "l2t"),
    ],
)
def test_wandbs_own_variables_count_where_nothing_is_configured(
    wandb, monkeypatch, tmp_path, variables, configured, mode, project
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    wandb.answers = [FakeRun()]
    WandbTracker(WandbConfig(**configured), tmp_path, {}, notice=pytest.fail)
    assert (wandb.calls[0]["mode"], wandb.calls[0]["project"]) == (mode, project)


def test_what_wandb_reads_by_itself_is_left_to_it(wandb, monkeypatch, tmp_path):
    wandb.answers = [FakeRun(), FakeRun(), FakeRun()]
    WandbTracker(WandbConfig(), tmp_path, {})
    monkeypatch.setenv("WANDB_NAME", "best")
    monkeypatch.setenv("WANDB_DIR", "/scratch")
    WandbTracker(WandbConfig(), tmp_path, {})
    WandbTracker(WandbConfig(entity="us", group="g", tags=("x",)), tmp_path, {})
    plain, named, labelled = wandb.calls
    assert (plain["name"], plain["dir"]) == (tmp_path.name, str(tmp_path))
    assert [named[key] for key in ("name", "dir", "entity", "group", "tags")] == [None] * 5
    assert (labelled["entity"], labelled["group"], labelled["tags"]) == ("us", "g", ["x"])


def test_wandb_writes_nothing_outside_the_run(tmp_path):
    """The real package, offline, in a process with a home of its own."""
    code = (
        "import sys; from pathlib import Path; from l2t.run.tracking.config import WandbConfig\n"
        "from l2t.run.tracking.wandb import WandbTracker\n"
        "tracker = WandbTracker(WandbConfig(mode='offline'), Path(sys.argv[1]), {'seed': 0})\n"
        "tracker.log([{'step': 1, 'wall_seconds': 1.0, 'train/episode_return': 2.0}])\n"
        "tracker.finish('finished')\n"
        "import os; assert not [name for name in os.environ if name.endswith('_DIR') and name.startswith('WANDB_')]\n"
    )
    home, run = tmp_path / "home", tmp_path / "run"
    home.mkdir()
    run.mkdir()
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "WANDB_"))}
    result = subprocess.run(
        [sys.executable, "-c", code, str(run)],
        env=clean | {"HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=300,
        cwd=home,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert [path for path in home.rglob("*") if path.is_file()] == []
    assert list(run.glob("wandb/offline-run-*/*.wandb"))
    assert {path.name for path in run.iterdir()} == {"wandb"}


def test_a_cache_of_the_users_own_is_left_where_it_is(wandb, monkeypatch, tmp_path):
    seen = []
    wandb.answers = [FakeRun(), FakeRun()]
    init = wandb.init
    wandb.init = lambda **options: seen.append(os.environ["WANDB_CACHE_DIR"]) or init(**options)
    WandbTracker(WandbConfig(), tmp_path, {})
    monkeypatch.setenv("WANDB_CACHE_DIR", "/scratch/cache")
    WandbTracker(WandbConfig(), tmp_path, {})
    assert seen == [str(tmp_path / "wandb" / "cache"), "/scratch/cache"]
    assert os.environ["WANDB_CACHE_DIR"] == "/scratch/cache"


@pytest.mark.parametrize("variables", [{"WANDB_MODE": "disabled"}, {"WANDB_DISABLED": "true"}])
def test_the_environment_can_switch_wandb_off(wandb, monkeypatch, tmp_path, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    WandbTracker(WandbConfig(), tmp_path, {})
    assert wandb.calls == []


def test_a_mode_that_wandb_does_not_have_is_named_with_the_variable(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "onlin")
    with pytest.raises(ConfigurationError, match=r"WANDB_MODE='onlin' is not known.*Did you mean 'online'"):
        WandbConfig()
    WandbConfig(mode="offline")


@pytest.mark.parametrize("tags", ["paper", 3])
def test_tags_that_are_no_list_are_not_read_letter_by_letter(tags):
    with pytest.raises(ConfigurationError, match=rf"tracking\.wandb\.tags={tags!r} must be a list"):
        WandbConfig(tags=tags)
