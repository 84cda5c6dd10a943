import jax.numpy as jnp
import numpy as np
import pytest

from envs.rendering import rendering_available
from l2t.errors import ConfigurationError
from scripts.render import LONGEST_NAME, Actor, _film_name, frame_stride, main, play, render_run
from tests.scripts.checkpointed_run import write_checkpointed_run
from tests.support.films import read_mp4
from tests.support.probes import constant_reward


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """With a student that remembers."""
    memory = ["algorithm.student.memory=gru", "algorithm.student.memory_chunk=8"]
    overrides = ["env=inverted_pendulum", "algorithm=l2t", *memory]
    return write_checkpointed_run(tmp_path_factory.mktemp("run") / "a", *overrides)


@pytest.fixture
def camera(monkeypatch):
    """A renderer that needs no OpenGL: grey frames, and a record of the joint positions it was shown."""
    seen: list[np.ndarray] = []

    class Renderer:
        def __init__(self, model, width=480, height=360):
            self.shape = (height, width, 3)

        def frame(self, qpos, qvel=None):
            seen.append(qpos)
            return np.full(self.shape, 90, np.uint8)

        def close(self):
            pass

    monkeypatch.setattr("envs.rendering.Renderer", Renderer)
    monkeypatch.setattr("envs.rendering.rendering_available", lambda: None)
    return seen


@pytest.fixture
def blind(monkeypatch):
    monkeypatch.setattr("envs.rendering.rendering_available", lambda: "there is no OpenGL; set MUJOCO_GL=egl.")


def test_a_film_of_a_run_lasts_as_long_as_the_simulation_and_lies_where_reports_look(run_dir, camera):
    path = render_run(run_dir, "student", 4.0)
    assert path == run_dir / "videos" / "student.mp4"
    film = read_mp4(path)
    assert film.fps == 25.0  # the task's time step is 0.04 s
    assert len(film.frames) == 100
    assert len(camera) == 100


def test_the_policy_moves_and_the_caption_changes(run_dir, camera):
    path = render_run(run_dir, "teacher", 1.0)
    qpos = np.stack(camera)
    assert np.ptp(qpos, axis=0).max() > 1e-4
    frames = read_mp4(path).frames
    assert np.abs(frames[0].astype(int) - frames[-1]).max() > 50
    assert np.abs(frames[0][:300].astype(int) - frames[-1][:300]).max() < 10


def test_another_seed_starts_elsewhere_and_the_same_one_does_not(run_dir, camera, tmp_path):
    starts = []
    for seed in (0, 0, 1):
        camera.clear()
        render_run(run_dir, "student", 0.2, tmp_path / "a.gif", seed=seed)
        starts.append(camera[0])
    np.testing.assert_array_equal(starts[0], starts[1])
    assert not np.array_equal(starts[0], starts[2])


def test_a_film_elsewhere_leaves_the_run_as_it_is(run_dir, camera, tmp_path):
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (run_dir, *run_dir.rglob("*"))}
    render_run(run_dir, "student", 0.2, tmp_path / "films" / "a.gif")
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (run_dir, *run_dir.rglob("*"))} == before
    assert [path.name for path in (tmp_path / "films").iterdir()] == ["a.gif"]


def test_an_environment_is_filmed_without_a_run(camera, tmp_path, capsys):
    out = tmp_path / "a.gif"
    assert main(["--env", "inverted_pendulum", "--policy", "random", "--seconds", "0.5", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert out.stat().st_size > 0


def test_a_real_picture_is_drawn_where_opengl_works(tmp_path):
    if (reason := rendering_available()) is not None:
        pytest.skip(reason)
    out = tmp_path / "a.mp4"
    assert main(["--env", "inverted_pendulum", "--policy", "zero", "--seconds", "0.4", "--out", str(out)]) == 0
    frames = read_mp4(out).frames
    assert frames.shape == (10, 360, 480, 3)
    assert frames[0].std() > 5


def test_an_environment_without_physics_is_refused_in_one_sentence():
    with pytest.raises(ConfigurationError, match="probe cannot be filmed"):
        play(constant_reward(), Actor((), lambda memory, observation, first, key: (memory, jnp.zeros((1, 1)))), 5)


def test_who_acts_where_no_role_is_named_needs_no_evaluation(run_dir, camera, tmp_path, capsys):
    """Neither run has been evaluated yet: the roles are those of its algorithm."""
    alone = write_checkpointed_run(tmp_path / "alone", "env=inverted_pendulum", "algorithm=spmd")
    for path, role in ((alone, "teacher"), (run_dir, "student")):
        assert main([str(path), "--seconds", "0.2"]) == 0
        assert capsys.readouterr().out == f"{path / 'videos' / role}.mp4\n"


def test_without_opengl_there_is_a_notice_and_no_film(run_dir, blind, capsys, tmp_path):
    assert render_run(run_dir, "student", 1.0, tmp_path / "a.mp4") is None
    assert capsys.readouterr().err == "No video: there is no OpenGL; set MUJOCO_GL=egl.\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--role", "expert"], "choose one of: student, teacher"),
        (["--out", "a.avi"], "must end in one of"),
        (["--seconds", "0"], "out of range"),
    ],
)
def test_a_wrong_argument_is_one_clear_message(run_dir, camera, capsys, arguments, message):
    assert main([str(run_dir), *arguments]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


def test_an_unknown_environment_is_one_clear_message(camera, capsys):
    assert main(["--env", "hoper"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "hopper" in error


@pytest.mark.parametrize("arguments", [[], ["runs/a", "--env", "hopper"]])
def test_a_run_and_an_environment_exclude_each_other(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "give either a run directory, or --env" in capsys.readouterr().err


@pytest.mark.parametrize(("timestep", "stride"), [(0.05, 1), (1 / 60, 1), (0.008, 3), (0.0005, 34), (0.01, 2)])
def test_no_more_frames_are_shown_than_a_screen_can(timestep, stride):
    assert frame_stride(timestep, 60.0) == stride


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["somewhere", "--policy", "random"], "--policy random is for --env"),
        (["somewhere", "--policy", "zero"], "--policy zero is for --env"),
        (["--env", "hopper", "--role", "student"], "--role student is for a run directory"),
        (["somewhere", "--env", "hopper"], "give either a run directory, or --env"),
    ],
)
def test_an_option_that_would_be_ignored_is_refused(arguments, told, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert told in capsys.readouterr().err


def test_what_is_set_is_filmed(run_dir, camera, tmp_path):
    """The teacher, which no noise reaches: on a slope it ends elsewhere, with another noise it does not."""
    ends = []
    for given in ([], ["--set", "env.student_noise=0.2"], ["--set", "env.student_noise=0.2", "--set", "env.slope=0.3"]):
        camera.clear()
        asked = ["--role", "teacher", "--seconds", "0.4", "--out", str(tmp_path / "a.gif")]
        assert main([str(run_dir), *asked, *given]) == 0
        ends.append(camera[-1])
    np.testing.assert_array_equal(ends[0], ends[1])
    assert not np.array_equal(ends[0], ends[2])


def test_a_film_of_another_environment_does_not_take_the_place_of_the_runs_own(run_dir, camera):
    own = render_run(run_dir, "teacher", 0.4)
    before = own.read_bytes()
    other = render_run(run_dir, "teacher", 0.4, overrides=["env.slope=0.3", "env.model={body_mass: 1.5}"])
    assert other.name == "teacher_slope=0.3_model=-body_mass-1.5.mp4"
    assert own.read_bytes() == before
    other.unlink()


def test_films_of_many_changes_have_short_names_that_differ():
    many = [f"env.parameters.something_with_a_long_name_{index}={index}" for index in range(5)]
    names = {_film_name("student", [*many, f"env.difficulty={difficulty}"]) for difficulty in (0.3, 0.9)}
    assert len(names) == 2
    assert max(map(len, names)) == LONGEST_NAME


def test_what_cannot_be_set_is_one_line(run_dir, tmp_path, capsys):
    assert main([str(run_dir), "--out", str(tmp_path / "a.gif"), "--set", "env.no_such_thing=1"]) == 1
    assert "no_such_thing" in capsys.readouterr().err
