import json
import re
from html.parser import HTMLParser

import pytest

from l2t.errors import RunDirectoryError
from l2t.report.comparison import compare
from l2t.report.pages import count, duration, number
from l2t.report.run_page import render_page, write_report
from l2t.report.runs import read_run, read_runs
from l2t.run.files import write_atomically
from tests.support.synthetic_runs import write_run

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """Checks that tags close in order, and collects text and what a browser would fetch."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.words: list[str] = []
        self.tags: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.fetched += [value for name, value in attrs if name in ("src", "href", "xlink:href", "poster") and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.fetched += [value for name, value in attrs if name in ("src", "href", "xlink:href", "poster") and value]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def report_of(run_dir) -> Page:
    return Page(write_report(run_dir).read_text())


def test_the_report_shows_final_returns_their_ratio_and_who_drove(tmp_path):
    path = write_run(tmp_path / "a")
    run = read_run(path)
    student = run.result["evaluation"]["student"]["return_mean"]
    teacher = run.result["evaluation"]["teacher"]["return_mean"]
    text = report_of(path).text
    assert "learn_to_teach on half_cheetah" in text
    assert f"{student:,.0f} student return" in text
    assert f"{student / teacher:.0%} student / teacher" in text
    assert "0 steps driven by the student" in text
    assert "jax 0.10.2" in text
    assert "finished" in text


def test_the_report_asks_for_nothing_beyond_itself(tmp_path):
    path = write_run(tmp_path / "a")
    (path / "videos").mkdir()
    (path / "videos" / "student.mp4").write_bytes(b"\0" * 1000)
    page = report_of(path)
    assert all(address.startswith(("data:", "#")) for address in page.fetched)
    assert "@import" not in (path / "report.html").read_text()
    assert "script" not in page.tags


def test_every_metric_has_a_chart(tmp_path):
    page = report_of(write_run(tmp_path / "a"))
    for title in ("Return in evaluation", "Return in training", "Critic", "Imitation", "Speed"):
        assert title in page.text
    assert page.tags.count("svg") == 3 + 6 + 6  # evaluation, training with losses and speed, and the folded rest


def test_charts_follow_the_theme_of_the_page(tmp_path):
    html = render_page(read_run(write_run(tmp_path / "a")))
    charts = " ".join(re.findall(r"<svg.*?</svg>", html, flags=re.DOTALL))
    assert "var(--series-1)" in charts
    assert "currentColor" in charts
    assert not set(re.findall(r"#[0-9a-f]{6}\b", charts)) - {"#000000", "#ffffff"}


def test_a_run_without_an_evaluation_has_a_report(tmp_path):
    page = report_of(write_run(tmp_path / "a", evaluations=0, status="running"))
    assert "No evaluation has been made yet." in page.text
    assert "Critic" in page.text


def test_a_run_that_has_logged_nothing_has_a_report(tmp_path):
    path = write_run(tmp_path / "a", points=0, evaluations=0)
    assert "learn_to_teach on half_cheetah" in report_of(path).text


def test_a_run_with_one_log_point_has_a_report(tmp_path):
    assert "Return in evaluation" in report_of(write_run(tmp_path / "a", points=1, evaluations=1)).text


@pytest.mark.parametrize(("seeds", "ends"), [(8, "95 % bootstrap interval"), (3, "range")])
def test_several_seeds_get_an_interval_and_few_their_range(tmp_path, seeds, ends):
    text = report_of(write_run(tmp_path / "a", num_seeds=seeds)).text
    assert f"{seeds} seeds from 0" in text
    assert f"interquartile means over {seeds} seeds; bands are {ends}s." in text
    assert text.count(ends) == 2, "the band and the column"


def test_a_run_that_was_resumed_with_other_settings_says_so(tmp_path):
    path = write_run(tmp_path / "a")
    assert "changed on the way" not in report_of(path).text
    result = json.loads((path / "result.json").read_text())
    result["changes"] = [{"step": 500_000, "key": "env.slope", "before": 0.0, "now": 3.0}]
    (path / "result.json").write_text(json.dumps(result))
    text = report_of(path).text
    assert "Until the steps below it had other settings." in text
    assert "env.slope 500k 0.0 3.0" in text
    note = compare(read_runs([tmp_path])).notes[0]
    assert note.endswith("a was resumed with other settings: env.slope at step 500,000.")


def test_the_command_can_be_repeated_elsewhere(tmp_path):
    path = write_run(tmp_path / "a", env="hopper", overrides={"run_dir": "/home/someone/runs/a"})
    overrides = path / ".hydra" / "overrides.yaml"
    overrides.write_text(overrides.read_text() + "- run_dir=/home/someone/runs/a\n")
    text = report_of(path).text
    assert "python scripts/train.py algorithm=learn_to_teach env=hopper seed=0" in text
    assert "someone" not in text


def test_a_small_video_is_embedded_and_a_large_one_linked(tmp_path, monkeypatch):
    path = write_run(tmp_path / "a")
    (path / "videos").mkdir()
    (path / "videos" / "teacher.mp4").write_bytes(b"\0" * 5000)
    (path / "videos" / "student.mp4").write_bytes(b"\0" * 1000)
    monkeypatch.setattr("l2t.report.run_page.EMBEDDED_VIDEO_BYTES", 4000)
    videos = [address for address in report_of(path).fetched if "mp4" in address]
    assert len(videos) == 2
    assert videos[0].startswith("data:video/mp4;base64,AAAA")
    assert videos[1] == "videos/teacher.mp4"


def test_text_from_a_configuration_cannot_break_the_page(tmp_path):
    path = write_run(tmp_path / "a", overrides={"env.task": "<script>alert(1)</script> & co"})
    page = report_of(path)
    assert "script" not in page.tags
    assert "<script>alert(1)</script> & co" in page.text


def test_a_long_run_stays_a_small_page(tmp_path):
    path = write_run(tmp_path / "a", points=4000, evaluations=10)
    assert write_report(path).stat().st_size < 1_000_000


def test_a_missing_run_is_an_error_and_nothing_is_written(tmp_path):
    with pytest.raises(RunDirectoryError, match="is not a folder"):
        write_report(tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_the_ratio_is_left_out_where_the_teacher_earns_nothing(tmp_path):
    run = read_run(write_run(tmp_path / "a", final={"student": -10.0, "teacher": -20.0}))
    assert run.final_ratio() == {}


def test_a_write_that_fails_leaves_the_old_file_and_no_draft(tmp_path):
    path = tmp_path / "report.html"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "new \ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_missing_is_named_when_writing(tmp_path):
    with pytest.raises(RunDirectoryError, match="cannot be written"):
        write_atomically(tmp_path / "no" / "report.html", "text")


def test_numbers_are_written_for_people():
    assert [number(v) for v in (12345.6, 3.14159, 0.0, -0.000123, None, float("nan"))] == [
        *("12,346", "3.142", "0", "-0.000123", "–", "–"),
    ]
    assert [count(v) for v in (0, 999, 64_000, 2_000_000)] == ["0", "999", "64k", "2M"]
    assert [duration(v) for v in (5, 200, 7500)] == ["5 s", "3 min 20 s", "2 h 05 min"]
