"""Pictures without a display."""

from __future__ import annotations

import os
import subprocess
import sys

import mujoco
import numpy as np
import pytest

from envs.config import MujocoConfig
from envs.physics.config import PhysicsConfig
from envs.rendering import Renderer, rendering_available

needs_opengl = pytest.mark.skipif(rendering_available() is not None, reason=str(rendering_available()))


@pytest.fixture(scope="module")
def cheetah():
    return MujocoConfig("half_cheetah").build(PhysicsConfig("native"))


@needs_opengl
def test_frames_show_a_robot_that_moves_and_have_the_size_asked_for(cheetah):
    qpos = np.zeros((3, 9), np.float32)
    qpos[2, 2] = 1.0
    renderer = Renderer(cheetah.model, width=160, height=120)
    frames = np.stack([renderer.frame(row, np.zeros(9, np.float32)) for row in qpos])
    renderer.close()
    assert frames.shape == (3, 120, 160, 3)
    assert frames.dtype == np.uint8
    assert frames.std() > 10
    np.testing.assert_array_equal(frames[0], frames[1])
    assert np.mean(frames[0] != frames[2]) > 0.01


@needs_opengl
def test_the_camera_follows_a_robot_that_travels_and_stands_still_for_others():
    ball = """<mujoco><worldbody><light pos="0 0 9" dir="0 0 -1" directional="true"/><body>{joint}
    <geom size=".2" rgba="1 0 0 1"/></body></worldbody></mujoco>"""
    sliding = '<joint type="slide" axis="1 0 0"/>'
    turning = '<joint type="hinge" pos="0 10 0"/>'
    for joint, follows in ((sliding, True), (turning, False)):
        renderer = Renderer(mujoco.MjModel.from_xml_string(ball.format(joint=joint)), 64, 64)
        for position in (0.0, 3.0):
            frame = renderer.frame(np.array([position])).astype(int)
            rows, columns = np.nonzero(frame[..., 0] > frame[..., 1] + 50)
            if position == 0.0 or follows:
                assert len(rows) > 50
                assert abs(rows.mean() - 32) < 4
                assert abs(columns.mean() - 32) < 4
            else:
                assert len(rows) == 0
        renderer.close()


@needs_opengl
def test_pictures_may_exceed_the_models_own_buffer_and_leave_the_model_alone(cheetah):
    before = cheetah.model.vis.global_.offwidth
    renderer = Renderer(cheetah.model, width=before + 16, height=64)
    assert renderer.frame(cheetah.model.qpos0).shape == (64, before + 16, 3)
    renderer.close()
    renderer.close()
    assert cheetah.model.vis.global_.offwidth == before


def test_the_reason_is_one_line_and_an_error_where_rendering_cannot_work():
    code = (
        "import mujoco\n"
        "from envs.rendering import Renderer, rendering_available\n"
        "from l2t.errors import MissingDependencyError\n"
        "print(rendering_available())\n"
        "try:\n"
        "    Renderer(mujoco.MjModel.from_xml_string('<mujoco/>'))\n"
        "except MissingDependencyError as error:\n"
        "    print(error)\n"
    )
    environment = os.environ | {"MUJOCO_GL": "off"}
    lines = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert len(lines) == 2
    assert lines[0] != "None"
    assert all("MUJOCO_GL=off" in line for line in lines)
