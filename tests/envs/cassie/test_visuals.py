"""What is only drawn: as symmetric as the robot, and in the picture."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from envs.cassie.model import cassie_model
from envs.cassie.pose import standing_pose
from envs.rendering import Renderer, rendering_available
from tests.envs.cassie.robots import simulation


def test_one_leg_looks_like_the_other_in_a_mirror():
    model = cassie_model(visuals=True)
    data = simulation(model, standing_pose().qpos)
    places = {"left": [], "right": []}
    for geom in np.flatnonzero(model.geom_group == 2):
        side = model.body(model.geom_bodyid[geom]).name.split("-")[0]
        if side in places:
            size = model.geom_size[geom]
            places[side].append((*data.geom_xpos[geom], *data.geom_xmat[geom].reshape(3, 3)[:, 2], *size))
    left, right = np.array(places["left"]), np.array(places["right"])
    assert len(left) > 25
    # A solid's axis may point either way.
    axes = np.abs(np.sum(left[:, 3:6] * (1, -1, 1) * right[:, 3:6], axis=1))
    np.testing.assert_allclose(axes, 1.0, atol=1e-6)
    np.testing.assert_allclose(left[:, :3] * (1, -1, 1), right[:, :3], atol=1e-6)
    np.testing.assert_array_equal(left[:, 6:], right[:, 6:])


def test_drawn_rods_end_where_the_loops_hold_them():
    model = cassie_model(visuals=True)
    rods = [body for body in range(model.nbody) if model.body(body).name.endswith("-rod")]
    assert len(rods) == 4
    for body in rods:
        (geom,) = np.flatnonzero(model.geom_bodyid == body)
        (loop,) = np.flatnonzero(model.eq_obj1id == body)
        end = model.geom_pos[geom, 0] + model.geom_size[geom, 1]
        assert end == pytest.approx(model.eq_data[loop, 0], abs=1e-9)
        assert model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_CAPSULE.value


@pytest.mark.skipif(rendering_available() is not None, reason="no OpenGL")
def test_the_camera_sees_the_robot_in_the_middle():
    renderer = Renderer(cassie_model(visuals=True), 160, 160)
    try:
        picture = renderer.frame(standing_pose().qpos).astype(int)
    finally:
        renderer.close()
    teal = (picture[..., 2] - picture[..., 0] > 40) & (picture[..., 0] < 60)
    rows, columns = np.nonzero(teal)
    assert 200 < len(rows) < 4000
    assert 40 < np.median(columns) < 120
    assert np.ptp(rows) > 60
