"""Studies belong to the command: from Python they can be composed, and are not taken for training."""

from __future__ import annotations

import pytest

from configs import compose, train
from l2t.errors import ConfigurationError
from scripts import studies


def test_a_study_is_composed_once_it_is_registered_and_never_trained(tmp_path):
    studies.register()
    config = compose(["experiment=amdp_speed"])
    assert config.study is not None
    with pytest.raises(ConfigurationError, match="is a study, which does not train"):
        train(config, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []
