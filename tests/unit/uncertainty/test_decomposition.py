"""The parts of uncertainty mean what the reader is told."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from whycad.uncertainty.decomposition import decompose, entropy


def test_members_that_agree_on_a_coin_toss_are_aleatoric():
    total, aleatoric, epistemic = decompose(np.full((5, 1, 2), 0.5))
    assert total[0] == aleatoric[0]
    assert np.isclose(total[0], np.log(2))
    assert epistemic[0] == 0


def test_members_that_are_sure_of_different_things_are_epistemic():
    members = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    total, aleatoric, epistemic = decompose(members)
    assert aleatoric[0] == 0
    assert np.isclose(epistemic[0], np.log(2))
    assert np.isclose(total[0], np.log(2))


@given(arrays(np.float64, (4, 3, 5), elements=st.floats(0, 10)))
def test_parts_add_up_and_none_is_negative(raw):
    members = (raw + 1e-9) / (raw + 1e-9).sum(-1, keepdims=True)
    total, aleatoric, epistemic = decompose(members)
    np.testing.assert_allclose(total, aleatoric + epistemic)
    assert (epistemic >= 0).all()
    assert (aleatoric >= 0).all()
    assert (total <= np.log(5) + 1e-9).all()


def test_entropy_of_certainty_is_zero():
    assert entropy(np.array([0.0, 1.0, 0.0])) == 0
