"""Pictures of simulations, without a display."""

from __future__ import annotations

import atexit
import copy
import functools
import importlib
import os
import subprocess
import sys
from typing import Any

import mujoco
import numpy as np

from l2t.errors import MissingDependencyError

BACKENDS = ("egl", "osmesa", "glfw")
"""OpenGL back-ends of MuJoCo; the last needs a display."""

_PROBE = """
import mujoco
from mujoco.{backend} import GLContext
context = GLContext(16, 16)
context.make_current()
mujoco.MjrContext(mujoco.MjModel.from_xml_string("<mujoco/>"), mujoco.mjtFontScale.mjFONTSCALE_100.value).free()
context.free()
"""


def rendering_available() -> str | None:
    """None where some OpenGL back-end can draw without a display, otherwise the reason in one line."""
    backend, reason = _find_backend()
    return None if backend else reason


class Renderer:
    """Draws states of one model, off screen. Holds an OpenGL context until `close`.

    The camera is the model's own if it has one called `track`; otherwise it looks at the robot from a distance that
    shows all of it, from the side if the robot travels, from above if it does not.

    Raises:
        MissingDependencyError: no OpenGL back-end works.
    """

    def __init__(self, model: mujoco.MjModel, width: int = 480, height: int = 360) -> None:
        self._gl: Any = _context(width, height)
        # A context that outlives the OpenGL library complains at exit.
        atexit.register(self.close)
        self._model = copy.copy(model)
        self._model.vis.global_.offwidth = max(width, model.vis.global_.offwidth)
        self._model.vis.global_.offheight = max(height, model.vis.global_.offheight)
        self._model.vis.quality.offsamples = min(2, model.vis.quality.offsamples)
        self._model.vis.quality.shadowsize = min(1024, model.vis.quality.shadowsize)
        self._data = mujoco.MjData(self._model)
        self._scene = mujoco.MjvScene(self._model, maxgeom=10000)
        self._option = mujoco.MjvOption()
        self._camera = mujoco.MjvCamera()
        self._follows = False
        track = mujoco.mj_name2id(self._model, mujoco.mjtObj.mjOBJ_CAMERA.value, "track")
        if track >= 0:
            self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED.value
            self._camera.fixedcamid = track
        else:
            self._look_at_robot()
        self._rectangle = mujoco.MjrRect(0, 0, width, height)
        self._gl.make_current()
        self._context = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        # Reflections and smoothed edges take most of the time where a CPU draws.
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION.value] = 0
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)

    def frame(self, qpos: np.ndarray, qvel: np.ndarray | None = None) -> np.ndarray:
        """The picture of one state, uint8 `[height, width, 3]`."""
        self._data.qpos = qpos
        self._data.qvel = 0.0 if qvel is None else qvel
        mujoco.mj_forward(self._model, self._data)
        if self._follows:
            self._camera.lookat[:2] = self._data.subtree_com[0, :2]
        mujoco.mjv_updateScene(
            self._model,
            self._data,
            self._option,
            None,
            self._camera,
            mujoco.mjtCatBit.mjCAT_ALL.value,
            self._scene,
        )
        pixels = np.empty((self._rectangle.height, self._rectangle.width, 3), np.uint8)
        self._gl.make_current()
        mujoco.mjr_render(self._rectangle, self._scene, self._context)
        mujoco.mjr_readPixels(pixels, None, self._rectangle, self._context)
        return pixels[::-1].copy()

    def close(self) -> None:
        """Give the OpenGL context back. Closing twice is no error."""
        if self._gl is not None:
            self._gl.make_current()
            self._context.free()
            self._gl.free()
            self._gl = None
            atexit.unregister(self.close)

    def _look_at_robot(self) -> None:
        model, data = self._model, self._data
        mujoco.mj_forward(model, data)
        centre = data.subtree_com[0]
        moving = model.geom_bodyid > 0
        reach = np.linalg.norm(data.geom_xpos[moving] - centre, axis=1) + model.geom_rbound[moving]
        sliding = {mujoco.mjtJoint.mjJNT_FREE.value, mujoco.mjtJoint.mjJNT_SLIDE.value}
        self._follows = bool(sliding.intersection(model.jnt_type[model.jnt_bodyid == 1]))
        mujoco.mjv_defaultFreeCamera(model, self._camera)
        self._camera.lookat[:] = centre
        self._camera.distance = (2.5 if self._follows else 3.5) * reach.max(initial=0.1)
        self._camera.elevation = -15.0 if self._follows else -45.0


def _context(width: int, height: int) -> Any:
    backend, reason = _find_backend()
    if backend is None:
        raise MissingDependencyError(f"Rendering needs OpenGL without a display: {reason}")
    return importlib.import_module(f"mujoco.{backend}").GLContext(width, height)


@functools.cache
def _find_backend() -> tuple[str | None, str]:
    """The first back-end that works, tried in another process: a broken driver may kill the process that loads it."""
    chosen = os.environ.get("MUJOCO_GL", "").strip().lower()
    if chosen in ("disable", "disabled", "off", "false", "0"):
        return None, f"MUJOCO_GL={chosen} switches rendering off."
    failures = []
    for backend in (chosen,) if chosen in BACKENDS else BACKENDS[:2]:
        environment = os.environ | {"MUJOCO_GL": backend}
        command = [sys.executable, "-c", _PROBE.format(backend=backend)]
        try:
            result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            failures.append(f"{backend}: {type(error).__name__}")
            continue
        if result.returncode == 0:
            return backend, ""
        lines = result.stderr.strip().splitlines()
        failures.append(f"{backend}: {lines[-1] if lines else f'exit code {result.returncode}'}")
    return None, "; ".join(failures) + ". Install Mesa (libegl1 or libosmesa6), or set MUJOCO_GL to egl or osmesa."
