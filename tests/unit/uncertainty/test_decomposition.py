"""The parts of uncertainty mean what the reader is told."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from whycad.uncertainty.decomposition import decompose, decompose_views, entropy


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


def test_members_can_weigh_differently():
    members = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])
    total, aleatoric, epistemic = decompose(members, np.array([[1.0], [0.0]]))
    assert total[0] == aleatoric[0] == epistemic[0] == 0


@given(arrays(np.float64, (3, 4, 2, 3), elements=st.floats(0, 10)))
def test_views_and_members_add_up(raw):
    passes = (raw + 1e-9) / (raw + 1e-9).sum(-1, keepdims=True)
    parts = decompose_views(passes)
    np.testing.assert_allclose(parts.total, parts.aleatoric + parts.views + parts.members)
    np.testing.assert_allclose(parts.total, entropy(passes.mean(axis=(0, 1))))
    assert (parts.aleatoric >= 0).all()
    assert (parts.views >= -1e-12).all()
    assert (parts.members >= -1e-12).all()
    np.testing.assert_allclose(parts.epistemic, parts.total - parts.aleatoric)


def test_a_turned_image_that_gets_another_answer_is_not_the_members_fault():
    one = np.array([[1.0, 0.0], [0.0, 1.0]])
    parts = decompose_views(np.stack([one, one])[:, :, None])
    assert np.isclose(parts.views[0], np.log(2))
    assert np.isclose(parts.members[0], 0)
