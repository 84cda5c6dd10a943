"""Writing films: MP4 that browsers play, or GIF; each file complete or absent."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from l2t.errors import ConfigurationError, RunDirectoryError

Frame = UInt8[np.ndarray, "height width 3"]

FASTEST = {".mp4": 60.0, ".gif": 25.0}
"""File types and the frames per second at which each still plays smoothly everywhere."""


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
        path.parent.mkdir(parents=True, exist_ok=True)
        writer = _writer(draft, fps)
        try:
            yield writer.append_data
        finally:
            writer.close()
        draft.replace(path)
    except OSError as error:
        raise RunDirectoryError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def write_on(frame: Frame, text: str) -> Frame:
    """The frame with a line of text at its lower left, readable on any background."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.fromarray(frame)
    font = ImageFont.load_default(size=max(11, frame.shape[0] // 24))
    margin = frame.shape[0] // 36
    place = (margin, frame.shape[0] - margin)
    ImageDraw.Draw(image).text(
        place, text, fill=(255, 255, 255), font=font, anchor="ld", stroke_width=2, stroke_fill=(0, 0, 0)
    )
    return np.asarray(image)


def _writer(path: Path, fps: float) -> Any:
    import imageio.v2 as imageio

    if path.suffix == ".gif":
        return imageio.get_writer(path, mode="I", duration=1000.0 / fps, loop=0)
    return imageio.get_writer(
        path,
        fps=fps,
        codec="libx264",
        pixelformat="yuv420p",  # browsers play no other
        macro_block_size=2,
        quality=None,
        # The index comes first, so that a page can start to play before it has the whole file.
        output_params=["-crf", "24", "-movflags", "+faststart"],
        ffmpeg_log_level="error",
    )
