import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2t.run.compiled import compile_iteration, donatable, run_once


def test_the_state_is_donated():
    state = jax.jit(lambda: {"x": jnp.arange(3.0)})()
    iterate = compile_iteration(lambda state: ({"x": state["x"] + 1}, {}), state)
    iterate(state)
    assert state["x"].is_deleted()


def test_of_a_fresh_state_only_what_cannot_be_given_away_is_copied():
    def init(key):
        return {"ring": jnp.arange(4.0), "key": key, "weak": jnp.where(True, 1.0, 2.0), "none": jnp.zeros(0)}

    fresh = run_once(init, jax.random.key(3))
    other = jnp.arange(3.0)  # of another run, which goes on with it
    state = fresh | {"ring again": fresh["ring"], "key again": fresh["key"], "other": other}
    assert state["weak"].weak_type
    given = donatable(state, fresh)
    assert sum(leaf is fresh["ring"] for leaf in given.values()) == 1
    places = [leaf.unsafe_buffer_pointer() for leaf in given.values() if leaf.size]
    assert len(set(places)) == len(places)
    assert not any(getattr(leaf, "weak_type", False) for leaf in given.values())
    for name, leaf in given.items():
        found, wanted = (jax.random.key_data(each) if "key" in name else each for each in (leaf, state[name]))
        np.testing.assert_array_equal(found, wanted)
    jax.jit(lambda state: state, donate_argnums=0)(given)
    assert fresh["ring"].is_deleted()
    np.testing.assert_array_equal(other, [0.0, 1.0, 2.0])


@pytest.mark.parametrize(
    ("iterate", "message"),
    [
        (lambda s: ({"x": s["x"].astype(jnp.float16)}, {}), r"state\['x'\]: float32\[3\] becomes float16\[3\]"),
        (lambda s: ({"x": s["x"][1:]}, {}), r"state\['x'\]: float32\[3\] becomes float32\[2\]"),
        (lambda s: ({"y": s["x"]}, {}), "changes the structure"),
    ],
)
def test_a_state_that_would_compile_again_is_refused(iterate, message):
    with pytest.raises(TypeError, match=message):
        compile_iteration(iterate, {"x": jnp.zeros(3)})
