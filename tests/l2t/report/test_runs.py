import json

import numpy as np
import pytest

from l2t.errors import RunDirectoryError
from l2t.report.runs import differing_options, find_runs, group_runs, joined, read_run, read_runs
from l2t.run.directory import RunDirectory
from tests.support.synthetic_runs import write_run


def write_lines(path, *lines):
    path.write_text("".join(lines))
    return path


def read_metrics(path):
    return joined(RunDirectory(path.parent).read_metrics())


def row(step, **values):
    return json.dumps({"step": step, **values}) + "\n"


def test_a_torn_last_line_is_dropped(tmp_path):
    path = write_lines(tmp_path / "metrics.jsonl", row(1, loss=2.0), row(2, loss=1.0), '{"step": 3, "lo')
    assert [r["step"] for r in read_metrics(path)] == [1, 2]


def test_a_line_torn_in_the_middle_of_a_character_is_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(row(1).encode() + '{"step": 2, "ρ'.encode()[:-1])
    assert [r["step"] for r in read_metrics(path)] == [1]


def test_rows_written_again_after_a_resume_count_once_and_the_later_ones_win(tmp_path):
    path = write_lines(
        tmp_path / "metrics.jsonl",
        *(row(step, loss=1.0) for step in (10, 20, 30, 40)),
        '{"step": 50, "l\n',
        *(row(step, loss=2.0) for step in (25, 35, 45)),
    )
    assert [(r["step"], r["loss"]) for r in read_metrics(path)] == [(10, 1), (20, 1), (25, 2), (35, 2), (45, 2)]


def test_two_rows_of_one_step_are_joined(tmp_path):
    path = write_lines(tmp_path / "metrics.jsonl", row(10, loss=1.0), row(10, speed=5.0))
    assert read_metrics(path) == [{"step": 10, "loss": 1.0, "speed": 5.0}]


def test_seeds_trained_together_are_told_apart(tmp_path):
    run = read_run(write_run(tmp_path / "a", num_seeds=3, points=10, evaluations=5))
    found = run.series("eval/student/return_mean")
    assert sorted(found) == [0, 1, 2]
    assert all(len(series.steps) == 5 for series in found.values())
    assert len({series.values[-1] for series in found.values()}) == 3


def test_values_that_are_not_finite_are_left_out_of_a_series(tmp_path):
    path = write_run(tmp_path / "a", points=2, evaluations=0)
    write_lines(path / "metrics.jsonl", row(1, loss=None), row(2, loss=float("nan")), row(3, loss=0.5))
    series = read_run(path).series("loss")[0]
    np.testing.assert_array_equal(series.steps, [3])
    np.testing.assert_array_equal(series.values, [0.5])


def test_a_run_tells_who_it_is(tmp_path):
    run = read_run(write_run(tmp_path / "a", env="hopper", seed=7, status="interrupted"))
    assert (run.algorithm, run.env, run.seed, run.status) == ("learn_to_teach", "hopper", 7, "interrupted")
    assert run.roles == ("student", "teacher")
    assert run.env_steps == 1_000_000


def test_a_run_without_a_result_yet_is_read_from_its_configuration(tmp_path):
    path = write_run(tmp_path / "a", env="hopper", seed=3)
    (path / "result.json").unlink()
    run = read_run(path)
    assert (run.env, run.seed, run.status, run.env_steps) == ("hopper", 3, "unknown", 1_000_000)


def test_a_configuration_that_only_a_starting_run_can_resolve_is_still_read(tmp_path):
    run = read_run(write_run(tmp_path / "a", overrides={"run_dir": "${hydra:runtime.output_dir}"}))
    assert run.config["env"]["student_noise"] == 0.4


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(RunDirectoryError, match=r"nowhere is not a folder"):
        read_run(tmp_path / "nowhere")


def test_a_folder_of_runs_is_not_taken_for_a_run_and_the_message_says_where_they_are(tmp_path):
    write_run(tmp_path / "a")
    with pytest.raises(RunDirectoryError, match=r"is not a run directory.*contains 1"):
        read_run(tmp_path)


def test_runs_are_found_at_any_depth_and_counted_once(tmp_path):
    paths = [write_run(tmp_path / "day" / name) for name in ("a", "b")]
    assert find_runs(tmp_path) == paths
    assert len(read_runs([tmp_path, paths[0]])) == 2


def test_a_folder_without_runs_is_an_error(tmp_path):
    with pytest.raises(RunDirectoryError, match="contains no run"):
        read_runs([tmp_path])


def test_a_broken_result_says_so(tmp_path):
    path = write_run(tmp_path / "a")
    (path / "result.json").write_text("{")
    with pytest.raises(RunDirectoryError, match="not valid JSON"):
        read_run(path)


def test_seeds_alone_make_one_group_under_the_algorithms_name(tmp_path):
    runs = [read_run(write_run(tmp_path / str(seed), seed=seed)) for seed in range(3)]
    assert {key: len(members) for key, members in group_runs(runs).items()} == {("half_cheetah", "learn_to_teach"): 3}


def test_an_ablation_labels_itself_by_what_differs(tmp_path):
    for stack in (1, 8):
        for seed in (0, 1):
            write_run(tmp_path / f"{stack}-{seed}", seed=seed, overrides={"env.student_stack": stack})
    write_run(tmp_path / "ppo", algorithm="ppo", roles=("student",))
    runs = read_runs([tmp_path])
    assert differing_options(runs) == {"learn_to_teach": ("env.student_stack",), "ppo": ()}
    assert {label: len(members) for (_, label), members in group_runs(runs).items()} == {
        "learn_to_teach student_stack=1": 2,
        "learn_to_teach student_stack=8": 2,
        "ppo": 1,
    }


def test_settings_of_an_environment_are_not_options_when_only_the_environment_differs(tmp_path):
    write_run(tmp_path / "a", env="hopper", overrides={"env.student_noise": 0.1})
    write_run(tmp_path / "b", env="ant")
    assert {label for _, label in group_runs(read_runs([tmp_path]))} == {"learn_to_teach"}


def test_options_with_the_same_last_name_are_spelled_out(tmp_path):
    for index, rate in enumerate((1e-3, 1e-4)):
        overrides = {"algorithm.learning_rate": rate, "algorithm.student.learning_rate": rate}
        write_run(tmp_path / str(index), overrides=overrides)
    labels = {label for _, label in group_runs(read_runs([tmp_path]))}
    assert "learn_to_teach algorithm.learning_rate=0.001 student.learning_rate=0.001" in labels


def test_grouping_by_the_algorithm_pools_the_options(tmp_path):
    for stack in (1, 8):
        write_run(tmp_path / str(stack), overrides={"env.student_stack": stack})
    assert len(group_runs(read_runs([tmp_path]), options=())) == 1
