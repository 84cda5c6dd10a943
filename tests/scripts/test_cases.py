import re

import pytest

from l2t.errors import ConfigurationError
from scripts.studies.cases import chosen

CASES = {"flat ground": 1, "stairs": 2, "slope": 3}


def test_all_cases_or_those_that_are_named_in_the_studys_own_order():
    assert chosen(CASES, ()) == CASES
    assert list(chosen(CASES, ["slope", "flat ground"]).items()) == [("flat ground", 1), ("slope", 3)]


@pytest.mark.parametrize(
    ("cases", "only", "message"),
    [
        ({}, (), "study.cases must name at least one"),
        (CASES, "stairs", "study.only='stairs' must be a list of names, such as ['flat ground']"),
        (CASES, ["stair"], "study.only='stair' is not known"),
    ],
)
def test_what_names_no_case_is_refused(cases, only, message):
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        chosen(cases, only)
