"""The traced border is the best of all paths, and how it is searched changes nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugins.retinal_oct.layers import best_path


def plain_path(score, max_step, step_cost):
    """Search as it is written in books: every row of every column remembers where it came from."""
    n_rows, n_columns = score.shape
    best, came_from = score[:, 0].astype(np.float32), np.zeros((n_columns, n_rows), int)
    for column in range(1, n_columns):
        reached = np.empty(n_rows, np.float32)
        for row in range(n_rows):
            near = np.arange(max(0, row - max_step), min(n_rows, row + max_step + 1))
            totals = best[near] - (step_cost * np.abs(near - row)).astype(np.float32)
            came_from[column, row] = near[totals.argmax()]
            reached[row] = score[row, column] + totals.max()
        best = reached
    path = [int(best.argmax())]
    for column in range(n_columns - 1, 0, -1):
        path.append(int(came_from[column, path[-1]]))
    return np.array(path[::-1])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 20), st.integers(1, 15), st.integers(0, 6), st.integers(0, 10**6), st.booleans())
def test_the_search_gives_the_plain_search_s_path(n_rows, n_columns, max_step, seed, coarse):
    score = np.random.default_rng(seed).random((n_rows, n_columns)).astype(np.float32)
    # Coarse scores tie often: then the first of the best is taken.
    score = np.rint(3 * score) if coarse else score
    assert np.array_equal(best_path(score, max_step, 0.025), plain_path(score, max_step, 0.025))


@pytest.mark.parametrize("cost", [0.0, 0.5])
def test_a_path_has_no_step_longer_than_allowed(cost):
    score = np.random.default_rng(1).random((30, 40)).astype(np.float32)
    assert np.abs(np.diff(best_path(score, 3, cost))).max() <= 3
