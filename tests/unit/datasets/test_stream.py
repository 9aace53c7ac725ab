"""Batches: in order, bounded, no row lost, nothing decoded far ahead."""

import threading
import time

import numpy as np
import pytest

from whycad.datasets.source import RowInfo
from whycad.datasets.stream import MAX_WORKERS, load_batches
from whycad.errors import DatasetError
from whycad.types import Region, Study


class Rows:
    def __init__(self, n, side=4, bad=()):
        self.n, self.side, self.bad = n, side, bad
        self.started = 0
        self._lock = threading.Lock()

    def rows(self, split=None):
        return list(range(self.n))

    def info(self, row):
        return RowInfo(str(row), f"row-{row}", "", {})

    def study(self, row):
        with self._lock:
            self.started += 1
        time.sleep(0.001 * (row % 3))
        if row in self.bad:
            raise self.bad[row]
        return Study(np.zeros((self.side, self.side), np.float32), "OT", str(row))

    def case(self, row):
        return self.study(row), Region((float(row), 0.0))


@pytest.mark.parametrize(("n", "size", "expected"), [(7, 3, [3, 3, 1]), (6, 3, [3, 3]), (2, 5, [2])])
def test_rows_come_in_order_in_batches(n, size, expected):
    batches = list(load_batches(Rows(n), range(n), size))
    assert [len(batch) for batch in batches] == expected
    assert [item.row for batch in batches for item in batch] == list(range(n))
    assert [item.region for batch in batches for item in batch] == [Region((float(row), 0.0)) for row in range(n)]


def test_a_failing_row_is_its_error_in_its_place():
    bad = {1: DatasetError("broken"), 3: PermissionError("/secret/name.png")}
    (items,) = load_batches(Rows(5, bad=bad), range(5), 10)
    assert [isinstance(item.study, Study) for item in items] == [True, False, True, False, True]
    assert str(items[1].study) == "broken"
    assert "secret" not in str(items[3].study)


def test_large_images_make_small_batches():
    batches = list(load_batches(Rows(4, side=16), range(4), 100, max_bytes=2 * 16 * 16 * 4))
    assert [len(batch) for batch in batches] == [2, 2]


def test_decoding_runs_only_a_little_ahead():
    source = Rows(500)
    batches = load_batches(source, range(500), 1)
    next(batches)
    time.sleep(0.05)
    assert source.started <= 1 + 2 * MAX_WORKERS + 1
    batches.close()
    time.sleep(0.02)
    assert source.started < 20


def test_a_bug_is_not_taken_for_a_broken_image():
    with pytest.raises(ZeroDivisionError):
        list(load_batches(Rows(2, bad={1: ZeroDivisionError()}), range(2), 1))
