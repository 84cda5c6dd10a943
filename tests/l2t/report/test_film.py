import imageio.v2 as imageio
import numpy as np
import pytest

from l2t.errors import ConfigurationError, RunDirectoryError
from l2t.report.film import open_film, write_on
from tests.support.films import read_mp4


def frames(count=30, height=90, width=122):
    return [np.full((height, width, 3), 8 * (index % 32), np.uint8) for index in range(count)]


def write(path, frames, fps=20.0):
    with open_film(path, fps) as append:
        for frame in frames:
            append(frame)
    return path


def test_an_mp4_has_every_frame_the_speed_asked_for_and_the_format_that_browsers_play(tmp_path):
    film = read_mp4(write(tmp_path / "videos" / "a.mp4", frames(), fps=41.6667))
    assert film.frames.shape == (30, 90, 122, 3)
    np.testing.assert_allclose(film.frames.mean(axis=(1, 2, 3)), 8.0 * np.arange(30), atol=4)
    assert film.fps == pytest.approx(41.67, abs=0.01)
    assert "h264" in film.description
    assert "yuv420p" in film.description


def test_a_gif_has_every_frame_and_the_speed_asked_for(tmp_path):
    path = write(tmp_path / "a.gif", frames())
    with imageio.get_reader(path) as reader:
        assert [np.asarray(frame).shape[:2] for frame in reader] == [(90, 122)] * 30
        assert reader.get_meta_data()["duration"] == 50


def test_a_film_of_odd_size_loses_one_row_and_one_column(tmp_path):
    assert read_mp4(write(tmp_path / "a.mp4", frames(height=91, width=121))).frames.shape == (30, 90, 120, 3)


def test_a_film_that_fails_half_way_leaves_nothing_behind(tmp_path):
    def broken():
        yield from frames(1)
        raise KeyError("the simulation broke")

    with pytest.raises(KeyError):
        write(tmp_path / "a.mp4", broken())
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_that_fails_says_why_and_leaves_nothing_behind(tmp_path, monkeypatch):
    encoder = tmp_path / "ffmpeg"
    encoder.write_text("#!/bin/sh\necho 'unknown encoder libx264' >&2\nexit 3\n")
    encoder.chmod(0o755)
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", lambda: str(encoder))
    with pytest.raises(RunDirectoryError, match="unknown encoder libx264"):
        write(tmp_path / "a.mp4", frames(200, 360, 480))
    assert [path.name for path in tmp_path.iterdir()] == ["ffmpeg"]


def test_an_unknown_file_type_is_refused_with_the_choices(tmp_path):
    with pytest.raises(ConfigurationError, match=r"must end in one of: \.mp4, \.gif"):
        write(tmp_path / "a.avi", frames())


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(RunDirectoryError, match="cannot be written"):
        write(tmp_path / "taken" / "a.mp4", frames())


def test_text_is_written_at_the_lower_edge_only():
    frame = np.full((360, 480, 3), 127, np.uint8)
    written = write_on(frame, "student, noise 0.4   return 1,234")
    assert written.shape == frame.shape
    np.testing.assert_array_equal(written[:320], frame[:320])
    assert (written[320:] != 127).any()
    assert (frame == 127).all()
