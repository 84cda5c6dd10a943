"""The viewer needs a display; who would be shown in it does not."""

import pytest

from scripts import watch
from tests.scripts.checkpointed_run import write_checkpointed_run


@pytest.fixture
def shown(monkeypatch):
    """The observation groups of the policies that would be shown."""
    seen = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(watch, "_show", lambda environment, policy, seed: seen.extend(policy.actor.groups))
    return seen


@pytest.mark.parametrize(("algorithm", "role"), [("spmd", "teacher"), ("l2t", "student")])
def test_who_acts_where_no_role_is_named_needs_no_evaluation(algorithm, role, shown, tmp_path):
    run = write_checkpointed_run(tmp_path / "a", "env=inverted_pendulum", f"algorithm={algorithm}")
    assert watch.main([str(run)]) == 0
    assert shown == [role]


def test_a_role_that_the_run_has_not_is_one_clear_message(shown, tmp_path, capsys):
    run = write_checkpointed_run(tmp_path / "a", "env=inverted_pendulum", "algorithm=spmd")
    assert watch.main([str(run), "--role", "student"]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert shown == []
