"""Arrays survive JSON, to the precision that was asked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pydantic import ValidationError

from whycad.uncertainty.packed import Packed, pack


@given(arrays(np.float32, array_shapes(max_dims=3, max_side=4), elements=st.floats(-1e4, 1e4, width=32)))
def test_single_precision_comes_back_bit_by_bit(values):
    again = Packed.model_validate_json(pack(values).model_dump_json())
    np.testing.assert_array_equal(again.array, values.astype(np.float64))


def test_half_precision_is_half_the_size_and_close():
    values = np.random.default_rng(0).normal(size=(20, 30))
    half, single = pack(values, "float16"), pack(values)
    np.testing.assert_allclose(half.array, values, rtol=1e-3, atol=1e-6)
    assert len(half.data) < 0.6 * len(single.data)


def test_an_empty_array_is_kept():
    assert pack(np.zeros((0, 7))).array.shape == (0, 7)


@pytest.mark.parametrize(
    ("change", "what"),
    [({"shape": (3, 3)}, "cannot be"), ({"data": "!"}, "no base64"), ({"shape": (-1, 2)}, "cannot be")],
)
def test_what_does_not_fit_is_refused(change, what):
    good = pack(np.ones((2, 2))).model_dump()
    with pytest.raises(ValidationError, match=what):
        Packed.model_validate(good | change)


@pytest.mark.parametrize(("value", "dtype"), [(np.nan, "float32"), (1e6, "float16")])
def test_what_cannot_be_stored_is_refused(value, dtype):
    with pytest.raises(ValidationError, match="not finite"):
        pack([value], dtype)


def test_the_array_is_not_to_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        pack([1.0]).array[0] = 2
