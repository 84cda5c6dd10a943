"""One writer a directory, held against real processes that start together."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from threading import Timer

import pytest

from l2t.errors import RunDirectoryError
from l2t.run.claim import LOCK, check_new, check_resumable, claimed
from l2t.run.directory import RunDirectory

_WRITER = """
import sys, time
from pathlib import Path
from l2t.errors import RunDirectoryError
from l2t.run.claim import claimed
from l2t.run.directory import RunDirectory
path, start, options = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
time.sleep(max(0.0, start - time.time()))
try:
    with claimed(path, **dict.fromkeys(options, True)) as place:
        RunDirectory(place).append_metrics([{"step": 1}])
        print(place, flush=True)
        sys.stdin.read()
except RunDirectoryError as error:
    print("refused:", error, flush=True)
"""


def writers(count, path, *options):
    """Processes that claim a directory at the same moment and hold it until their standard input is closed."""
    start = time.time() + 0.3 + 0.15 * count
    command = [sys.executable, "-c", _WRITER, str(path), str(start), *options]
    return [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(count)]


def answers(processes):
    """The line that each one said; all of those that hold a directory still do."""
    return [process.stdout.readline().strip() for process in processes]


def end(processes):
    for process in processes:
        process.communicate("", timeout=300)


def a_run(path):
    RunDirectory(path).write_result({"status": "interrupted"})
    (path / ".hydra").mkdir()
    (path / ".hydra" / "overrides.yaml").write_text("[]\n")
    return path


@pytest.mark.parametrize("options", [(), ("resume",)])
def test_of_several_processes_that_start_together_one_gets_the_directory(tmp_path, options):
    path = tmp_path / "run"
    if options:
        path.mkdir()
        a_run(path)
    processes = writers(5, path, *options)
    said = answers(processes)
    assert said.count(str(path)) == 1
    winner = processes[said.index(str(path))]
    for line in set(said) - {str(path)}:
        assert line.startswith(f"refused: {path} is being written by process {winner.pid} on ")
    assert RunDirectory(path).read_metrics() == [{"step": 1}]
    end(processes)
    assert not (path / LOCK).exists()


def test_numbered_places_are_all_different(tmp_path):
    processes = writers(5, tmp_path / "run", "numbered")
    assert sorted(answers(processes)) == [str(tmp_path / name) for name in ("run", *(f"run-{n}" for n in range(2, 6)))]
    end(processes)
    with claimed(tmp_path / "run", numbered=True) as place:
        assert place == tmp_path / "run-6"


def test_a_killed_process_holds_nothing(tmp_path):
    (process,) = writers(1, tmp_path / "run")
    answers([process])
    with pytest.raises(RunDirectoryError, match=f"is being written by process {process.pid}"):
        check_new(tmp_path / "run")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (tmp_path / "run" / LOCK).exists()
    RunDirectory(tmp_path / "run").result.write_text('{"status": "running"}')
    (tmp_path / "run" / ".hydra").mkdir()
    (tmp_path / "run" / ".hydra" / "overrides.yaml").write_text("[]\n")
    with claimed(tmp_path / "run", resume=True):
        assert str(os.getpid()) in (tmp_path / "run" / LOCK).read_text()
    with pytest.raises(RunDirectoryError, match=r"already holds a run \(status running\)"):
        check_new(tmp_path / "run")


@pytest.mark.parametrize("check", [check_new, check_resumable])
def test_a_look_at_a_directory_that_is_written_names_the_holder_and_changes_nothing(tmp_path, check):
    run = a_run(tmp_path)
    with claimed(run, resume=True):
        before = {path: path.stat().st_mtime_ns for path in (run, *run.rglob("*"))}
        with pytest.raises(RunDirectoryError, match=f"is being written by process {os.getpid()} on "):
            check(run)
        assert {path: path.stat().st_mtime_ns for path in (run, *run.rglob("*"))} == before
    if check is check_resumable:
        check(run)


@pytest.mark.parametrize("check", [check_new, check_resumable, lambda run: ExitStack().enter_context(claimed(run))])
def test_a_writer_that_has_yet_to_write_its_name_is_waited_for(tmp_path, check):
    run = a_run(tmp_path)
    with (run / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        naming = Timer(0.2, (run / LOCK).write_text, ["process 7 on mars"])
        naming.start()
        with pytest.raises(RunDirectoryError, match="is being written by process 7 on mars"):
            check(run)
        naming.join()


def test_those_who_only_look_hinder_neither_one_another_nor_a_writer(tmp_path):
    run = a_run(tmp_path)
    (run / LOCK).write_text("process 1 on elsewhere")
    with (run / LOCK).open() as look:
        fcntl.flock(look, fcntl.LOCK_SH)
        check_resumable(run)
        Timer(0.2, fcntl.flock, [look, fcntl.LOCK_UN]).start()
        with claimed(run, resume=True):
            assert str(os.getpid()) in (run / LOCK).read_text()


@pytest.mark.parametrize("content", ["result.json", "thesis.tex", "metrics.jsonl"])
def test_a_refused_claim_leaves_what_is_there_untouched(tmp_path, content):
    (tmp_path / content).write_text('{"status": "finished"}')
    before = {path: path.stat().st_mtime_ns for path in (tmp_path, *tmp_path.rglob("*"))}
    with pytest.raises(RunDirectoryError, match="choose another place"), claimed(tmp_path):
        pytest.fail("it was claimed")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path, *tmp_path.rglob("*"))} == before


def test_a_directory_of_which_nothing_came_is_removed_again(tmp_path):
    with ExitStack() as stack:
        path = stack.enter_context(claimed(tmp_path / "a" / "run"))
        (path / ".hydra").mkdir()
        (path / ".hydra" / "config.yaml").touch()
        assert (path / LOCK).exists()
    assert list((tmp_path / "a").iterdir()) == []


def test_a_directory_with_a_first_file_stays_when_an_error_ends_it(tmp_path):
    def fail(path):
        RunDirectory(path).append_metrics([{"step": 1}])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), claimed(tmp_path / "run") as path:
        fail(path)
    assert [child.name for child in (tmp_path / "run").iterdir()] == ["metrics.jsonl"]


def test_what_a_start_that_was_killed_left_behind_is_no_run(tmp_path):
    (tmp_path / "run" / ".hydra").mkdir(parents=True)
    (tmp_path / "run" / LOCK).write_text("process 1 on elsewhere")
    check_new(tmp_path / "run")
    with claimed(tmp_path / "run") as path:
        assert path == tmp_path / "run"


def test_a_file_system_without_locks_is_no_obstacle(tmp_path, monkeypatch):
    def refuse(file, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with claimed(tmp_path / "run") as path:
        RunDirectory(path).write_result({})
    with ExitStack() as stack, pytest.raises(RunDirectoryError, match="is not empty"):
        stack.enter_context(claimed(tmp_path / "run"))
