from __future__ import annotations

import pytest

from whycad.datasets.condition import Condition, same_value


@pytest.mark.parametrize(("found", "wanted", "same"), [("1", "yes", True), ("1.0", "1", True), ("yes", "no", False)])
def test_cells_are_compared_as_people_write_them(found, wanted, same):
    assert same_value(found, wanted) is same


@pytest.mark.parametrize("text", ["", "=1", "site", "!=1"])
def test_what_is_no_condition_is_refused(text):
    with pytest.raises(ValueError, match="column=value"):
        Condition.parse(text)


def test_a_condition_is_written_as_it_is_read():
    for text in ("site=ear", "near_fold_border!=False", "site="):
        assert str(Condition.parse(text)) == text
