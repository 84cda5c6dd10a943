"""Writing films: MP4 that browsers play, or GIF; each file complete or absent."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from l2t.errors import ConfigurationError
from l2t.run.files import Cure, writing

Frame = UInt8[np.ndarray, "height width 3"]

FASTEST = {".mp4": 60.0, ".gif": 25.0}
"""File types and the frames per second at which each still plays smoothly everywhere."""

_CURE = Cure("render it with scripts/render.py", "choose another place with scripts/render.py --out")


def check_film(path: Path) -> None:
    """Raise unless the name ends in a file type that can be written."""
    if path.suffix not in FASTEST:
        raise ConfigurationError(f"{path} must end in one of: {', '.join(FASTEST)}.")


@contextlib.contextmanager
def open_film(path: Path, fps: float) -> Iterator[Callable[[Frame], None]]:
    """Yield a function that adds a frame; the file appears under its name when the block ends without an error.

    Raises:
        RunDirectoryError: when it cannot be written.
    """
    check_film(path)
    draft = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        with writing(path, _CURE):
            path.parent.mkdir(parents=True, exist_ok=True)
            writer = _writer(draft, fps)
            try:
                yield writer.append_data
            finally:
                writer.close()
            draft.replace(path)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def write_on(frame: Frame, text: str) -> Frame:
    """The frame with a line of text at its lower left, readable on any background."""
    from matplotlib import get_data_path
    from PIL import Image, ImageDraw, ImageFont

    image = Image.fromarray(frame)
    font = ImageFont.truetype(f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf", max(10, frame.shape[0] // 26))
    margin = frame.shape[0] // 36
    place = (margin, frame.shape[0] - margin)
    ImageDraw.Draw(image).text(
        place, text, fill=(255, 255, 255), font=font, anchor="ld", stroke_width=2, stroke_fill=(0, 0, 0)
    )
    return np.asarray(image)


def _writer(path: Path, fps: float) -> Any:
    if path.suffix == ".gif":
        import imageio.v2 as imageio

        return imageio.get_writer(path, mode="I", duration=1000.0 / fps, loop=0)
    return _Mp4(path, fps)


class _Mp4:
    """H.264 through the `ffmpeg` that imageio-ffmpeg ships.

    Its own writer forks with a hook in Python, which can deadlock beside JAX's threads; a plain child process cannot.
    """

    def __init__(self, path: Path, fps: float) -> None:
        self.path = path
        self.fps = fps
        self.process: subprocess.Popen[bytes] | None = None

    def append_data(self, frame: Frame) -> None:
        """Encode one more frame; the first one sets the size."""
        self.process = self.process or self._start(*frame.shape[:2])
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(np.ascontiguousarray(frame, np.uint8).data)
        except BrokenPipeError:
            self.close()  # says why
            raise

    def close(self) -> None:
        """Finish the file."""
        process, self.process = self.process, None
        if process is None:
            return
        _, errors = process.communicate()
        if process.returncode:
            reason = errors.decode(errors="replace").strip().splitlines() or [f"exit code {process.returncode}"]
            raise OSError(f"ffmpeg failed ({reason[-1]})")

    def _start(self, height: int, width: int) -> subprocess.Popen[bytes]:
        from imageio_ffmpeg import get_ffmpeg_exe

        given = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{self.fps:.6f}", "-i", "-"]
        # Browsers play no other pixel format, and it needs even sizes. The index comes first, so that a page can start
        # to play before it has the whole file.
        even = "crop=trunc(iw/2)*2:trunc(ih/2)*2"
        coded = ["-vcodec", "libx264", "-pix_fmt", "yuv420p", "-vf", even, "-crf", "24", "-movflags", "+faststart"]
        command = [get_ffmpeg_exe(), "-y", "-loglevel", "error", *given, "-an", *coded, str(self.path)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
