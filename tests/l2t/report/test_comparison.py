import csv

import numpy as np
import pytest
from scipy import stats

from l2t.errors import RunDirectoryError
from l2t.report.comparison import comma_separated, compare, markdown, render_comparison, write_comparison
from l2t.report.runs import read_runs
from tests.support.synthetic_runs import write_run


def ablation(folder, seeds=4, envs=("half_cheetah",)):
    for env in envs:
        for stack, share in ((1, 0.4), (8, 0.7)):
            for seed in range(seeds):
                write_run(
                    folder / f"{env}-{stack}-{seed}",
                    env=env,
                    seed=seed,
                    final={"student": 4000.0 * share, "teacher": 4000.0},
                    overrides={"env.student_stack": stack},
                )
    return read_runs([folder])


def test_scores_are_the_statistics_of_the_final_evaluations(tmp_path):
    runs = ablation(tmp_path, seeds=5)
    finals = [
        run.result["evaluation"]["student"]["return_mean"] for run in runs if run.config["env"]["student_stack"] == 8
    ]
    (score,) = [s for s in compare(runs).scores if s.label.endswith("=8") and s.role == "student"]
    assert score.seeds == 5
    assert score.env_steps == 1_000_000
    assert score.iqm.estimate == pytest.approx(stats.trim_mean(finals, 0.25))
    assert score.mean.estimate == pytest.approx(np.mean(finals))
    assert score.mean.low <= score.mean.estimate <= score.mean.high


def test_ratios_pair_student_and_teacher_of_the_same_seed(tmp_path):
    comparison = compare(ablation(tmp_path))
    by_label = {ratio.label: ratio for ratio in comparison.ratios}
    wide, narrow = by_label["learn_to_teach student_stack=8"].iqm, by_label["learn_to_teach student_stack=1"].iqm
    assert wide.estimate == pytest.approx(0.7, abs=0.05)
    assert narrow.high < wide.low


def test_several_environments_get_an_average_ratio(tmp_path):
    comparison = compare(ablation(tmp_path, envs=("hopper", "ant")))
    overall = [ratio for ratio in comparison.ratios if ratio.env == ""]
    assert [ratio.seeds for ratio in overall] == [8, 8]
    assert "| all | learn_to_teach student_stack=8 | 8 |" in markdown(comparison)


def test_a_single_seed_has_a_score_without_an_interval(tmp_path):
    write_run(tmp_path / "a")
    comparison = compare(read_runs([tmp_path]))
    assert [score.seeds for score in comparison.scores] == [1, 1]
    assert "| – |" in markdown(comparison)
    cells = next(csv.DictReader(comma_separated(comparison).splitlines()))
    assert (cells["iqm_low"], cells["seeds"]) == ("", "1")
    assert render_comparison(comparison)


def test_seeds_trained_together_count_one_by_one(tmp_path):
    write_run(tmp_path / "a", num_seeds=6)
    assert {score.seeds for score in compare(read_runs([tmp_path])).scores} == {6}


def test_a_seed_that_was_run_twice_counts_once_and_a_note_says_so(tmp_path):
    for name in ("a", "b"):
        write_run(tmp_path / name, seed=0)
    write_run(tmp_path / "c", seed=1)
    comparison = compare(read_runs([tmp_path]))
    assert {score.seeds for score in comparison.scores} == {2}
    assert "seed 0 was run twice" in comparison.notes[0]


@pytest.mark.parametrize("key", ["eval_every", "eval_episodes", "checkpoint_every"])
def test_watching_a_run_otherwise_makes_no_other_seed_of_it(tmp_path, key):
    write_run(tmp_path / "a", seed=0, final={"student": 1000.0, "teacher": 4000.0})
    write_run(tmp_path / "b", seed=0, final={"student": 5000.0, "teacher": 6000.0}, overrides={key: 7})
    write_run(tmp_path / "c", seed=1)
    comparison = compare(read_runs([tmp_path]))
    assert {score.seeds for score in comparison.scores} == {2}
    assert "the one whose path comes later" in comparison.notes[0]
    assert {run.path.name for members in comparison.groups.values() for run in members} == {"b", "c"}


def test_fewer_than_five_seeds_have_a_range_and_no_interval(tmp_path):
    four, five = (compare(ablation(tmp_path / str(n), seeds=n)) for n in (4, 5))
    assert "range" in markdown(four)
    assert "range" not in markdown(five)


def test_runs_of_different_lengths_are_read_at_the_same_step(tmp_path):
    write_run(tmp_path / "a", seed=0, total_steps=1_000_000)
    write_run(tmp_path / "b", seed=1, total_steps=500_000)
    comparison = compare(read_runs([tmp_path]), options=())
    student = next(score for score in comparison.scores if score.role == "student")
    ((first,), (second,)) = (run.series("eval/student/return_mean").values() for run in read_runs([tmp_path]))
    assert student.env_steps == 500_000
    at = np.searchsorted(first.steps, 500_000)
    assert student.mean.estimate == pytest.approx((first.values[at] + second.values[-1]) / 2)
    assert any("runs of 500k to 1" in note and "where the shortest ends" in note for note in comparison.notes)


def test_ratios_are_read_at_the_step_of_the_scores(tmp_path):
    for seed, points in enumerate((50, 50, 25)):
        write_run(tmp_path / str(seed), seed=seed, total_steps=20_000 * points, points=points, evaluations=points // 5)
    runs = read_runs([tmp_path])
    comparison = compare(runs, options=())
    (ratio,) = comparison.ratios
    finals = {role: [run.final(f"eval/{role}/return_mean", 500_000) for run in runs] for role in ("student", "teacher")}
    student, teacher = ([value for by_seed in finals[role] for value in by_seed.values()] for role in finals)
    assert {score.env_steps for score in comparison.scores} == {500_000}
    assert ratio.iqm.estimate == pytest.approx(np.mean(np.divide(student, teacher)))
    assert ratio.of_means == pytest.approx(np.mean(student) / np.mean(teacher))


def test_a_batch_of_seeds_within_a_larger_one_counts_once(tmp_path):
    write_run(tmp_path / "pilot", num_seeds=3)
    write_run(tmp_path / "whole", num_seeds=5)
    write_run(tmp_path / "alone")  # its random numbers are its own
    comparison = compare(read_runs([tmp_path]))
    assert [score.seeds for score in comparison.scores] == [6, 6]
    assert any("seed 0 was run twice" in note for note in comparison.notes)


def test_a_seed_whose_teacher_earns_nothing_is_told_and_counts_in_the_ratio_of_means(tmp_path):
    for seed, teacher in enumerate((4000.0, 2000.0, -900.0)):
        write_run(tmp_path / str(seed), seed=seed, final={"student": 1500.0, "teacher": teacher})
    comparison = compare(read_runs([tmp_path]))
    (ratio,) = comparison.ratios
    assert ratio.seeds == 2
    assert ratio.of_means == pytest.approx(4500.0 / 5100.0, rel=0.1)
    assert any("earns nothing in 1 of the seeds" in note for note in comparison.notes)


def test_seeds_of_different_options_are_no_repetitions(tmp_path):
    comparison = compare(ablation(tmp_path, seeds=2), options=())
    assert {score.seeds for score in comparison.scores} == {4}
    assert comparison.notes == ()


def test_runs_without_an_evaluation_do_not_count(tmp_path):
    write_run(tmp_path / "a", seed=0)
    write_run(tmp_path / "b", seed=1, evaluations=0, status="running")
    comparison = compare(read_runs([tmp_path]))
    assert {score.seeds for score in comparison.scores} == {1}
    assert "1 of 2 runs are not finished" in comparison.notes[0]


def test_nothing_evaluated_is_an_error(tmp_path):
    write_run(tmp_path / "a", evaluations=0)
    with pytest.raises(RunDirectoryError, match="nothing to compare"):
        compare(read_runs([tmp_path]))


def test_every_output_is_written(tmp_path):
    written = write_comparison(compare(ablation(tmp_path / "runs", seeds=2)), tmp_path / "out" / "deep")
    assert sorted(path.name for path in written.values()) == ["curves.png", "report.html", "table.csv", "table.md"]
    assert all(path.stat().st_size > 100 for path in written.values())


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "taken").write_text("a file")
    comparison = compare(ablation(tmp_path / "runs", seeds=1))
    with pytest.raises(RunDirectoryError, match="taken cannot be written"):
        write_comparison(comparison, tmp_path / "taken")


def test_the_full_precision_table_holds_the_numbers_of_the_scores(tmp_path):
    comparison = compare(ablation(tmp_path))
    rows = list(csv.DictReader(comma_separated(comparison).splitlines()))
    assert [float(row["iqm_estimate"]) for row in rows] == [score.iqm.estimate for score in comparison.scores]
    assert [float(row["mean_high"]) for row in rows] == [score.mean.high for score in comparison.scores]
