import imageio.v2 as imageio
import numpy as np
import pytest

from l2t.errors import ConfigurationError, RunDirectoryError
from l2t.film import open_film, write_on


def frames(count=30, height=90, width=122):
    return [np.full((height, width, 3), 8 * index, np.uint8) for index in range(count)]


@pytest.mark.parametrize("kind", ["mp4", "gif"])
def test_a_film_plays_back_with_its_frames_and_its_speed(tmp_path, kind):
    path = tmp_path / "videos" / f"a.{kind}"
    with open_film(path, fps=20.0) as append:
        for frame in frames():
            append(frame)
    with imageio.get_reader(path) as reader:
        shown = [np.asarray(frame) for frame in reader]
        data = reader.get_meta_data()
    assert len(shown) == 30
    assert shown[0].shape[:2] == (90, 122)
    assert shown[-1].mean() == pytest.approx(8 * 29, abs=4)
    if kind == "mp4":
        assert (data["codec"], data["fps"]) == ("h264", 20.0)
        assert data["pix_fmt"].startswith("yuv420p")
    else:
        assert data["duration"] == 50


def test_a_film_that_fails_half_way_leaves_nothing_behind(tmp_path):
    def fail():
        with open_film(tmp_path / "a.mp4", fps=20.0) as append:
            append(frames(1)[0])
            raise KeyError("the simulation broke")

    with pytest.raises(KeyError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_file_type_is_refused_with_the_choices(tmp_path):
    with (
        pytest.raises(ConfigurationError, match=r"must end in one of: \.mp4, \.gif"),
        open_film(tmp_path / "a.avi", 20.0),
    ):
        pass


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(RunDirectoryError, match="cannot be written"), open_film(tmp_path / "taken" / "a.mp4", 20.0):
        pass


def test_text_is_written_at_the_lower_edge_only():
    frame = np.full((360, 480, 3), 127, np.uint8)
    written = write_on(frame, "student, noise 0.4   return 1,234")
    assert written.shape == frame.shape
    np.testing.assert_array_equal(written[:320], frame[:320])
    assert (written[320:] != 127).any()
    assert (frame == 127).all()
