"""Reading films back, for tests; a plain child process, as a fork beside JAX's threads can deadlock."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe


class Film(NamedTuple):
    """Frames `[T, H, W, 3]`, and what the file says about itself."""

    frames: np.ndarray
    fps: float
    description: str


def read_mp4(path: Path) -> Film:
    """Decode a whole film."""
    command = [
        get_ffmpeg_exe(),
        "-i",
        str(path),
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-fps_mode",
        "passthrough",
        "-",
    ]
    done = subprocess.run(command, capture_output=True, check=True, timeout=300)
    description = next(line for line in done.stderr.decode().splitlines() if "Video:" in line)
    size, fps = re.search(r" (\d+)x(\d+)[ ,]", description), re.search(r"([\d.]+) fps", description)
    assert size is not None
    assert fps is not None
    frames = np.frombuffer(done.stdout, np.uint8).reshape(-1, int(size[2]), int(size[1]), 3)
    return Film(frames, float(fps[1]), description)
