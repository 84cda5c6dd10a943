"""On disk and back, and everything that a reader must refuse."""

import json
from dataclasses import replace

import h5py
import minari
import numpy as np
import pytest

from l2t.demonstrations.files import read_demonstrations, write_demonstrations
from l2t.demonstrations.record import from_episodes
from l2t.errors import ConfigurationError, DemonstrationError
from tests.support.recordings import SPEC, recording


@pytest.fixture
def written(tmp_path):
    return write_demonstrations(tmp_path / "walk-expert", *recording())


def assert_same(one, other):
    assert one.facts == other.facts
    np.testing.assert_array_equal(one.returns, other.returns)
    np.testing.assert_array_equal(one.episode, other.episode)
    for name in ("action", "reward", "terminated", "truncated"):
        found, expected = (np.asarray(getattr(d.transitions, name)) for d in (one, other))
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    for name in ("observation", "following"):
        np.testing.assert_array_equal(*(getattr(d.transitions, name)["teacher"] for d in (one, other)))


def test_what_is_read_is_bitwise_what_was_recorded(written):
    assert_same(read_demonstrations(written, SPEC), from_episodes(*recording()))
    assert_same(read_demonstrations(written), from_episodes(*recording()))


def test_minari_itself_finds_the_episodes_in_the_tasks_units(written, monkeypatch, tmp_path):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "nowhere"))
    data = minari.MinariDataset(written / "data")
    assert (data.id, data.total_episodes, data.total_steps) == ("walk-expert-v0", 4, 14)
    assert data.action_space.low.tolist() == [-2.0, -0.5]
    assert data.observation_space.shape == (3,)
    assert [facts["seed"] for facts in data.storage.get_episode_metadata(range(4))] == [7, 8, 9, 10]
    for stored, episode in zip(data.iterate_episodes(), recording()[0], strict=True):
        np.testing.assert_array_equal(stored.observations, episode.observation)
        np.testing.assert_array_equal(stored.actions, episode.action)
        np.testing.assert_array_equal(stored.rewards, episode.reward)
        np.testing.assert_array_equal(stored.terminations, episode.terminated)
        np.testing.assert_array_equal(stored.truncations, episode.truncated)


def test_a_relative_path_is_meant_from_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_demonstrations("data/walk", *recording())
    assert_same(read_demonstrations("data/walk"), read_demonstrations(tmp_path / "data" / "walk"))
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["walk"]


def test_a_name_with_a_version_is_loaded_by_its_name(tmp_path, monkeypatch):
    write_demonstrations(tmp_path / "walk-v3", *recording())
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    assert minari.load_dataset("walk-v3").total_steps == 14
    assert set(minari.list_local_datasets()) == {"walk-v3"}


def test_rewards_that_are_unknown_change_nothing_for_a_learner(written):
    before = read_demonstrations(written, SPEC)
    with h5py.File(written / "data" / "main_data.hdf5", "a") as file:
        for group in file.values():
            group["rewards"][...] = np.nan
    after = read_demonstrations(written, SPEC)
    assert np.isnan(after.returns).all()
    assert_same(replace(after, returns=before.returns), before)


def change(name, row, value, episode=1):
    """Another number in an episode on disk."""

    def apply(path):
        with h5py.File(path / "data" / "main_data.hdf5", "a") as file:
            file[f"episode_{episode}"][name][row] = value

    return apply


def cut(name, episode=1):
    """The last row of an array is gone."""

    def apply(path):
        with h5py.File(path / "data" / "main_data.hdf5", "a") as file:
            stored = file[f"episode_{episode}"][name]
            stored.resize(len(stored) - 1, axis=0)

    return apply


def describe(**changes):
    """Another description under `l2t`."""

    def apply(path):
        file = path / "data" / "metadata.json"
        metadata = json.loads(file.read_text())
        metadata["l2t"] |= changes
        file.write_text(json.dumps(metadata))

    return apply


def without(key):
    def apply(path):
        file = path / "data" / "metadata.json"
        metadata = json.loads(file.read_text())
        (metadata if key == "l2t" else metadata["l2t"]).pop(key)
        file.write_text(json.dumps(metadata))

    return apply


def emptied(path):
    file = path / "data" / "metadata.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"total_episodes": 0}))


def without_seed(path):
    with h5py.File(path / "data" / "main_data.hdf5", "a") as file:
        del file["episode_0"].attrs["seed"]


def without_data(path):
    (path / "data" / "main_data.hdf5").unlink()


def torn(path):
    file = path / "data" / "main_data.hdf5"
    file.write_bytes(file.read_bytes()[:1000])


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (change("observations", 2, np.nan), "episode 1 has an observation that is not finite"),
        (change("actions", 0, np.inf), "episode 1 has an action that is not finite"),
        (change("actions", (0, 1), 1.01), "beyond the task's bounds"),
        (change("actions", (0, 0), -2.01), "beyond the task's bounds"),
        (change("terminations", 0, True), "episode 1 goes on after its end"),
        (change("truncations", -1, False), "episode 1 ends neither by a termination nor by a time limit"),
        (cut("observations"), "4 observations for 4 steps"),
        (cut("actions"), "actions of shape [3, 2], which must be [4, 2]"),
        (cut("truncations"), "rewards or flags of another shape"),
        (describe(format=2), "is of version 2, this program reads version 1"),
        (without("l2t"), "was not written by l2t-collect"),
        (without("engine"), "is damaged"),
        (describe(seeds=[7, 8, 9, 11]), "episode 3 has seed 10, not 11"),
        (describe(policy=[0]), "4 episodes, its description has 1 policies"),
        (describe(task="run"), "demonstrations of run, not of walk"),
        (describe(timestep=0.1), "has steps of 0.1 s, walk of 0.05 s"),
        (describe(action_low=[-2.0, -0.4]), "has actions from"),
        (emptied, "is empty"),
        (without_seed, "episode 0 has no seed"),
        (without_data, "is damaged"),
        (torn, "is damaged"),
    ],
)
def test_bad_data_is_one_clear_message(written, harm, message):
    read_demonstrations(written, SPEC)
    harm(written)
    with pytest.raises(DemonstrationError) as error:
        read_demonstrations(written, SPEC)
    assert message in str(error.value)
    assert str(error.value).startswith(str(written))
    assert "\n" not in str(error.value)
    assert "collect" in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "run"}, "demonstrations of walk, not of run"),
        ({"observation_sizes": {"teacher": 4}}, "observations of shape [3], teacher of walk has [4]"),
        ({"action_high": (2.0, 0.9)}, "walk from [-2.0, -0.5] to [2.0, 0.8999999761581421]"),
    ],
)
def test_another_task_is_refused(written, changes, message):
    with pytest.raises(DemonstrationError) as error:
        read_demonstrations(written, replace(SPEC, **changes))
    assert message in str(error.value)


def test_a_folder_that_holds_nothing_is_one_clear_message(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DemonstrationError, match="no data set of demonstrations"):
            read_demonstrations(path)


def test_nothing_is_overwritten(written):
    before = read_demonstrations(written)
    with pytest.raises(ConfigurationError, match="exists already"):
        write_demonstrations(written, *recording(actions="sampled"))
    assert_same(read_demonstrations(written), before)


def test_a_failure_while_writing_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("minari.dataset._storages.hdf5_storage.HDF5Storage.update_episodes", fail)
    with pytest.raises(DemonstrationError, match="No space left on device"):
        write_demonstrations(tmp_path / "walk", *recording())
    assert list(tmp_path.iterdir()) == []


def test_bad_episodes_are_not_even_written(tmp_path):
    episodes, facts = recording()
    episodes[2].action[0, 0] = 3.0
    with pytest.raises(DemonstrationError, match="episode 2 has actions from"):
        write_demonstrations(tmp_path / "walk", episodes, facts)
    with pytest.raises(DemonstrationError, match="is empty"):
        write_demonstrations(tmp_path / "walk", [], facts)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["my walk", "a*", "walk.1"])
def test_a_name_that_minari_does_not_take_is_one_clear_message(tmp_path, name):
    with pytest.raises(ConfigurationError, match="cannot name a data set"):
        write_demonstrations(tmp_path / name, *recording())
