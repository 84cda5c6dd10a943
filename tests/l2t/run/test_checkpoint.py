import json
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms.teaching.config import StudentConfig
from l2t.config import Default, identity
from l2t.errors import CheckpointError
from l2t.run.checkpoint import Checkpoints, dump
from tests.support.toys import Drift

IDENTITY = {"env": "toy", "seed": "0"}


def state(**changes):
    return {
        "x": jnp.arange(3.0),
        "key": jax.random.key(7),
        "keys": jax.random.split(jax.random.key(1), 4),
        "empty": jnp.zeros((0, 2)),
        "flag": jnp.asarray(True),
        "bits": jnp.asarray([2**32 - 1, 0], jnp.uint32),
        "nan": jnp.asarray([jnp.nan, -0.0]),
    } | changes


def bits(tree):
    """Leaves as bytes, so that NaN equals itself and -0 differs from 0."""
    leaves = jax.tree.leaves(tree)
    keys = [jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in leaves]
    return [np.asarray(jax.random.key_data(x) if key else x).tobytes() for x, key in zip(leaves, keys, strict=True)]


def test_a_state_comes_back_bit_for_bit_into_a_described_structure(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    checkpoints.save(10, state(), {"iteration": 1, "wandb_run_id": None}, IDENTITY)
    restored, host = checkpoints.restore(jax.eval_shape(state), IDENTITY)
    assert bits(restored) == bits(state())
    assert jax.tree.structure(restored) == jax.tree.structure(state())
    assert host == {"iteration": 1, "wandb_run_id": None}
    assert jax.random.key_impl(restored["key"]) == jax.random.key_impl(state()["key"])


@pytest.mark.parametrize("implementation", ["threefry2x32", "rbg"])
def test_the_kind_of_random_key_survives(tmp_path, implementation):
    checkpoints = Checkpoints(tmp_path)
    made = {"key": jax.random.key(3, impl=implementation)}
    checkpoints.save(1, made, {}, {})
    restored, _ = checkpoints.restore(jax.eval_shape(lambda: made), {})
    assert jax.random.uniform(restored["key"]) == jax.random.uniform(made["key"])


def test_the_newest_few_are_kept_and_the_newest_is_restored(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (10, 20, 30):
        checkpoints.save(step, state(x=jnp.full(3, float(step))), {"env_steps": step}, IDENTITY)
    assert checkpoints.steps() == [20, 30]
    restored, host = checkpoints.restore(state(), IDENTITY)
    assert restored["x"][0] == 30.0
    assert host == checkpoints.host(IDENTITY) == {"env_steps": 30}


def test_saving_a_step_again_keeps_what_is_there(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(10, state(), {"a": 1}, IDENTITY)
    checkpoints.save(10, state(), {"a": 2}, IDENTITY)
    assert checkpoints.host(IDENTITY) == {"a": 1}


def test_a_half_written_checkpoint_is_as_good_as_absent(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(10, state(), {}, IDENTITY)
    shutil.copytree(tmp_path / "10", tmp_path / "20.orbax-checkpoint-tmp")
    assert checkpoints.steps() == [10]
    restored, _ = checkpoints.restore(state(), IDENTITY)
    assert bits(restored) == bits(state())


def test_an_absent_checkpoint_is_reported(tmp_path):
    with pytest.raises(CheckpointError, match="There is no checkpoint"):
        Checkpoints(tmp_path / "checkpoints").restore(state(), IDENTITY)
    assert not (tmp_path / "checkpoints").exists()


def test_a_checkpoint_of_another_configuration_is_told_by_what_differs(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(10, state(), {}, IDENTITY)
    for ask in (lambda identity: checkpoints.restore(state(), identity), checkpoints.host):
        with pytest.raises(CheckpointError, match="another configuration: env was toy, now hopper"):
            ask(IDENTITY | {"env": "hopper"})


def test_a_field_that_came_later_is_as_it_was_while_nobody_sets_it(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(10, state(), {}, IDENTITY)
    restored, _ = checkpoints.restore(state(), IDENTITY | {"student.replay": Default("0")})
    assert bits(restored) == bits(state())
    with pytest.raises(CheckpointError, match=r"student\.replay was None, now 100"):
        checkpoints.restore(state(), IDENTITY | {"student.replay": "100"})
    other = IDENTITY | {"env": Default("hopper")}  # a default is no excuse for what was saved otherwise
    with pytest.raises(CheckpointError, match="env was toy, now hopper"):
        checkpoints.restore(state(), other)


def test_what_is_fixed_says_whether_it_is_a_default():
    found = identity(StudentConfig(memory="gru", replay_updates=64), "student.")
    assert found["student.memory"] == "gru"
    assert not isinstance(found["student.memory"], Default)
    assert found["student.replay"] == "0"
    assert isinstance(found["student.replay"], Default)
    assert isinstance(found["student.network.activation"], Default)
    assert "student.rl_clip" not in found


@pytest.mark.parametrize(
    ("like", "message"),
    [
        (state(x=jnp.zeros(4)), r"\['x'\] was float32\[3\], now float32\[4\]"),
        (state(x=jnp.zeros(3, jnp.int32)), r"\['x'\] was float32\[3\], now int32\[3\]"),
        (state(extra=jnp.zeros(2)), r"\['extra'\] was absent, now float32\[2\]"),
        ({"x": jnp.zeros(3)}, r"was .*, now absent"),
    ],
)
def test_a_checkpoint_of_other_shapes_is_told_by_the_first_that_differs(tmp_path, like, message):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(10, state(), {}, IDENTITY)
    with pytest.raises(CheckpointError, match=message):
        checkpoints.restore(like, IDENTITY)


def _entries(folder):
    """Everything below a folder, with what writing would change."""
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (folder, *folder.rglob("*"))}


@pytest.mark.parametrize(
    "read",
    [
        lambda checkpoints: checkpoints.restore(state(), IDENTITY),
        lambda checkpoints: checkpoints.host(IDENTITY),
        lambda checkpoints: checkpoints.steps(),
    ],
)
def test_reading_changes_nothing_not_even_what_another_process_is_writing(tmp_path, read):
    for step in (10, 20):
        Checkpoints(tmp_path).save(step, state(), {}, IDENTITY)
    shutil.copytree(tmp_path / "20", tmp_path / "30.orbax-checkpoint-tmp")
    shutil.copytree(tmp_path / "20", tmp_path / "notes")
    before = _entries(tmp_path)
    read(Checkpoints(tmp_path, keep=1))
    assert _entries(tmp_path) == before


_WRITER = """
import sys
import jax.numpy as jnp
from l2t.run.checkpoint import Checkpoints
for step in range(1, 41):
    Checkpoints(sys.argv[1], keep=1).save(step, {"x": jnp.full(20_000, float(step))}, {"step": step}, {})
"""


def test_a_reader_and_a_writer_do_not_disturb_one_another(tmp_path):
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path)], stderr=subprocess.PIPE, text=True)
    seen = []
    while writer.poll() is None:
        if Checkpoints(tmp_path).steps():
            restored, host = Checkpoints(tmp_path, keep=1).restore({"x": jnp.zeros(20_000)}, {})
            assert set(restored["x"].tolist()) == {float(host["step"])}
            seen.append(host["step"])
    assert writer.wait() == 0, writer.communicate()[1]
    assert seen == sorted(seen)
    assert len(set(seen)) > 3
    assert Checkpoints(tmp_path).steps() == [40]


@pytest.mark.parametrize("others", [[], [5]])
def test_a_checkpoint_that_goes_while_it_is_read_is_replaced_by_the_newest_there_is(tmp_path, monkeypatch, others):
    checkpoints = Checkpoints(tmp_path)
    for step in [*others, 10]:
        checkpoints.save(step, state(), {"step": step}, IDENTITY)
    restored = Checkpoints._read

    def read(self, step, **items):
        if step == 10:  # as the writer's keep policy does, and not at one stroke
            shutil.rmtree(tmp_path / "10" / "state")
            Checkpoints(tmp_path).save(20, state(), {"step": 20}, IDENTITY)
            shutil.rmtree(tmp_path / "10")
        return restored(self, step, **items)

    monkeypatch.setattr(Checkpoints, "_read", read)
    assert checkpoints.restore(state(), IDENTITY)[1] == {"step": 20}


def test_a_checkpoint_that_goes_and_was_the_only_one_is_one_line(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(10, state(), {}, IDENTITY)
    monkeypatch.setattr(Checkpoints, "_read", lambda self, step, **items: shutil.rmtree(tmp_path / "10") or 1 / 0)
    with pytest.raises(CheckpointError, match="There is no checkpoint"):
        checkpoints.host(IDENTITY)


def _largest(folder):
    return max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


def _truncate(folder):
    victim = _largest(folder / "state")
    victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])


def _flip(folder):
    for victim in (folder / "state").rglob("d/*"):
        content = bytearray(victim.read_bytes())
        content[len(content) // 2] ^= 0xFF
        victim.write_bytes(bytes(content))


@pytest.mark.parametrize(
    "damage",
    [
        _truncate,
        _flip,
        lambda folder: shutil.rmtree(folder / "state"),
        lambda folder: shutil.rmtree(folder / "record"),
        lambda folder: (folder / "record" / "metadata").write_text("{"),
        lambda folder: (folder / "record" / "metadata").write_text("{}"),
    ],
)
def test_a_damaged_checkpoint_is_reported_with_the_one_to_fall_back_on(tmp_path, damage):
    checkpoints = Checkpoints(tmp_path)
    large = state(x=jnp.arange(5000.0))
    for step in (10, 20):
        checkpoints.save(step, large, {}, IDENTITY)
    damage(tmp_path / "20")
    with pytest.raises(CheckpointError, match=r"20 is damaged .*; delete it to continue from step 10"):
        checkpoints.restore(large, IDENTITY)
    shutil.rmtree(tmp_path / "20")
    assert bits(checkpoints.restore(large, IDENTITY)[0]) == bits(large)


def _with_store(step):
    return {"learnt": jnp.full(3, float(step)), "store": {"rows": jnp.full((4, 2), float(step)), "none": jnp.zeros(0)}}


def test_what_only_the_newest_keeps_is_restored_from_it_and_gone_from_older_ones(tmp_path):
    checkpoints = Checkpoints(tmp_path, newest_only="['store']")
    for step in (1, 2, 3):
        checkpoints.save(step, _with_store(step), {}, IDENTITY)
    like = jax.eval_shape(lambda: _with_store(0))
    restored, _ = checkpoints.restore(like, IDENTITY)
    assert bits(restored) == bits(_with_store(3))
    assert [(tmp_path / str(step) / "newest").exists() for step in (1, 2, 3)] == [False, False, True]
    shutil.rmtree(tmp_path / "3")
    without = {"learnt": like["learnt"], "store": None}
    restored, _ = checkpoints.restore(without, IDENTITY, left_out="['store']")
    np.testing.assert_array_equal(restored["learnt"], np.full(3, 2.0))
    with pytest.raises(CheckpointError, match=r"no replay buffer.*evaluated and rendered, and not resumed"):
        checkpoints.restore(like, IDENTITY)


def test_what_only_the_newest_keeps_is_not_read_by_who_leaves_it_out(tmp_path):
    checkpoints = Checkpoints(tmp_path, newest_only="['store']")
    checkpoints.save(1, _with_store(1), {}, IDENTITY)
    checkpoints.save(2, _with_store(2), {}, IDENTITY)
    for file in (tmp_path / "2" / "newest").rglob("*"):
        if file.is_file():
            file.write_bytes(b"?")
    restored, _ = checkpoints.restore({"learnt": jnp.zeros(3), "store": None}, IDENTITY, left_out="['store']")
    np.testing.assert_array_equal(restored["learnt"], np.full(3, 2.0))
    with pytest.raises(CheckpointError, match=r"damaged.*step 1 can be evaluated; to train on, start the run again"):
        checkpoints.restore(_with_store(0), IDENTITY)


def test_a_batch_of_seeds_is_one_checkpoint(tmp_path):
    init = jax.vmap(Drift().init)
    keys = jax.random.split(jax.random.key(0), 3)
    made = jax.jit(init)(keys)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, made, {}, {})
    assert bits(checkpoints.restore(jax.eval_shape(init, keys), {})[0]) == bits(made)


def test_a_dump_holds_every_leaf_under_its_name(tmp_path):
    dump(tmp_path / "nan" / "step-5.npz", state())
    with np.load(tmp_path / "nan" / "step-5.npz") as stored:
        assert set(stored) == {f"['{name}']" for name in state()}
        assert stored["['key']"].tolist() == [0, 7]


def test_a_checkpoint_from_before_there_were_parts_is_read(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, state(), {"iteration": 3}, IDENTITY)
    (file,) = (
        path for path in (tmp_path / "1" / "record").rglob("*") if path.is_file() and b"checksums" in path.read_bytes()
    )
    record = json.loads(file.read_text())
    record["format"], record["checksum"] = 1, record.pop("checksums")["state"]
    for entry in record["leaves"]:
        del entry["part"]
    file.write_text(json.dumps(record))
    restored, host = checkpoints.restore(jax.eval_shape(state), IDENTITY)
    assert bits(restored) == bits(state())
    assert host == {"iteration": 3}


def test_of_another_algorithm_or_task_the_name_alone_is_told(tmp_path):
    checkpoints = Checkpoints(tmp_path / "run" / "checkpoints")
    was = {"algorithm": "l2t", "env": "toy", "seed": "0", **{f"algorithm.teacher.field{i}": "1" for i in range(40)}}
    checkpoints.save(10, state(), {}, was)
    for changes, told, cure in (
        ({"algorithm": "ppo"}, "algorithm was l2t, now ppo. ", f"start_from={tmp_path / 'run'} begins a new run"),
        ({"env": "hopper"}, "env was toy, now hopper. ", "For another task begin a new run"),
        (
            {"algorithm": "ppo", "env": "hopper"},
            "algorithm was l2t, now ppo; env was toy, now hopper. ",
            "For another task",
        ),
    ):
        now = {"algorithm": "l2t", "env": "toy", "seed": "3", "algorithm.num_steps": "64"} | changes
        with pytest.raises(CheckpointError) as told_by:
            checkpoints.host(now)
        assert told in str(told_by.value)
        assert cure in str(told_by.value)
        assert "field3" not in str(told_by.value)
        assert "seed" not in str(told_by.value)
