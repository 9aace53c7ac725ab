"""Jobs run side by side and come back in order."""

import os

import pytest

from whycad.training.parallel import side_by_side


def test_results_keep_the_order_and_come_from_other_processes():
    found = side_by_side(divmod_of, [(7, 2), (9, 4), (5, 5)], "cpu")
    assert [result for result, _ in found] == [(3, 1), (2, 1), (1, 0)]
    assert os.getpid() not in {pid for _, pid in found}


def test_a_failed_job_is_not_swallowed():
    with pytest.raises(ZeroDivisionError):
        side_by_side(divmod_of, [(1, 1), (1, 0)], "cpu")


def divmod_of(pair):
    return divmod(*pair), os.getpid()
