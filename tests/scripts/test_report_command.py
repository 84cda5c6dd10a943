import pytest

from scripts.report import main
from tests.support.synthetic_runs import write_run


@pytest.fixture
def runs(tmp_path):
    for stack in (1, 8):
        for seed in (0, 1):
            overrides = {"env.student_stack": stack, "algorithm.student.rl_coefficient": 0.1 * stack}
            write_run(tmp_path / "runs" / f"{stack}-{seed}", seed=seed, overrides=overrides)
    return tmp_path / "runs"


def test_a_folder_of_runs_becomes_a_table_on_the_screen_and_files(runs, tmp_path, capsys):
    assert main([str(runs), "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert "learn_to_teach rl_coefficient=0.1 student_stack=1" in shown
    assert str(tmp_path / "out" / "report.html") in shown
    assert (tmp_path / "out" / "table.md").read_text().count("| student |") == 2


def test_the_page_of_a_run_that_is_named_is_written_anew(runs, tmp_path, capsys):
    page = runs / "1-0" / "report.html"
    assert main([str(runs), "--out", str(tmp_path / "out")]) == 0
    assert not page.exists(), "a folder of runs is compared"
    assert main([str(runs / "1-0"), "--out", str(tmp_path / "out")]) == 0
    assert page.is_file()
    assert str(page) in capsys.readouterr().out
    bare = write_run(tmp_path / "bare", evaluations=0)
    assert main([str(bare), "--out", str(tmp_path / "none")]) == 0
    assert "No evaluation has been made yet." in (bare / "report.html").read_text()
    assert not (tmp_path / "none").exists()


def test_grouping_by_the_algorithm_pools_its_options(runs, tmp_path):
    assert main([str(runs), "--out", str(tmp_path / "out"), "--group-by", "algorithm"]) == 0
    assert "| half_cheetah | learn_to_teach | student | 4 |" in (tmp_path / "out" / "table.md").read_text()


def test_grouping_by_one_key_labels_by_that_key(runs, tmp_path):
    assert main([str(runs), "--out", str(tmp_path / "out"), "--group-by", "env.student_stack"]) == 0
    assert "| learn_to_teach student_stack=8 | student | 2 |" in (tmp_path / "out" / "table.md").read_text()


def test_a_key_that_no_run_has_is_an_error(runs, tmp_path, capsys):
    assert main([str(runs), "--out", str(tmp_path / "out"), "--group-by", "env.student_stac"]) == 1
    error = capsys.readouterr().err
    assert "env.student_stac" in error
    assert "Did you mean 'env.student_stack'?" in error


def test_another_metric_can_be_compared(runs, tmp_path):
    assert main([str(runs), "--out", str(tmp_path / "out"), "--metric", "average_reward"]) == 0
    assert "reward per step" in (tmp_path / "out" / "report.html").read_text()


def test_a_run_without_an_evaluation_is_one_clear_message(tmp_path, capsys):
    write_run(tmp_path / "a", evaluations=0)
    assert main([str(tmp_path)]) == 1
    assert (
        capsys.readouterr().err == "error: None of these runs has been evaluated yet, so there is nothing to compare.\n"
    )
