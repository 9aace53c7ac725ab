"""Hostile and broken archives end in a DatasetError, before anything large is allocated."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whycad.datasets.npz import read_arrays
from whycad.errors import DatasetError


def member(array, header_shape=None, descr=None):
    """Return an array as ``.npy`` bytes, with a header that lies where asked."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=True)
    if header_shape is None:
        return buffer.getvalue()
    head = io.BytesIO()
    header = {"descr": descr or array.dtype.str, "fortran_order": False, "shape": header_shape}
    np.lib.format.write_array_header_1_0(head, header)
    return head.getvalue() + array.tobytes()


def archive(tmp_path, members, compression=zipfile.ZIP_STORED):
    path = tmp_path / "hostile.npz"
    with zipfile.ZipFile(path, "w", compression) as target:
        for name, data in members.items():
            target.writestr(name, data)
    return path


def test_arrays_come_back_and_other_members_are_left_out(tmp_path):
    path = archive(tmp_path, {"a.npy": member(np.arange(3)), "README.txt": b"hello"})
    found = read_arrays(path)
    assert list(found) == ["a"]
    np.testing.assert_array_equal(found["a"], np.arange(3))


def test_pickled_objects_are_never_unpickled(tmp_path):
    path = archive(tmp_path, {"a.npy": member(np.array([{"x": 1}], object))})
    with pytest.raises(DatasetError, match="never unpickled"):
        read_arrays(path)


def test_a_structured_type_with_objects_inside_is_refused(tmp_path):
    array = np.zeros(1, np.dtype([("n", "i4"), ("o", "O")]))
    with pytest.raises(DatasetError, match="never unpickled"):
        read_arrays(archive(tmp_path, {"a.npy": member(array)}))


def test_a_header_that_declares_more_than_the_data_is_refused_before_allocation(tmp_path):
    path = archive(tmp_path, {"a.npy": member(np.zeros(10, np.uint8), header_shape=(1 << 40,))})
    tracemalloc.start()
    with pytest.raises(DatasetError, match="larger than its data"):
        read_arrays(path)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_elements_of_no_size_do_not_make_a_huge_array_look_small(tmp_path):
    path = archive(tmp_path, {"a.npy": member(np.zeros(1, np.uint8), (1 << 40,), "<U0")})
    with pytest.raises(DatasetError, match="larger than its data"):
        read_arrays(path)


def test_what_unpacks_beyond_the_limit_is_refused_before_unpacking(tmp_path):
    path = archive(tmp_path, {"a.npy": member(np.zeros(1 << 20, np.uint8))}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 10_000
    with pytest.raises(DatasetError, match="unpacks to"):
        read_arrays(path, max_bytes=1 << 16)
    assert len(read_arrays(path)["a"]) == 1 << 20


def test_the_same_array_twice_is_refused(tmp_path):
    path = tmp_path / "twice.npz"
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("a.npy", member(np.arange(3)))
        with pytest.warns(UserWarning, match="Duplicate"):
            target.writestr("a.npy", member(np.arange(4)))
    with pytest.raises(DatasetError, match="twice"):
        read_arrays(path)


@pytest.mark.parametrize("data", [b"", b"not a zip", b"PK\x03\x04" + b"\0" * 50, b"\x93NUMPY\x01\x00"])
def test_what_is_no_archive_is_refused(tmp_path, data):
    path = tmp_path / "pack.npz"
    path.write_bytes(data)
    with pytest.raises(DatasetError, match="not a readable image pack"):
        read_arrays(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"'nowhere\.npz'.*not found"):
        read_arrays(tmp_path / "nowhere.npz")


@pytest.mark.parametrize("data", [b"", b"garbage", b"\x93NUMPY\x01\x00\x10\x00{'descr': import", b"\x93NUMPY\x09\x00"])
def test_a_member_that_is_no_array_is_refused(tmp_path, data):
    with pytest.raises(DatasetError):
        read_arrays(archive(tmp_path, {"a.npy": data}))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_bytes_give_arrays_or_a_dataset_error(tmp_path, data):
    path = tmp_path / "good.npz"
    np.savez_compressed(path, a=np.arange(50), b=np.array(["x", "y"]))
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    try:
        found = read_arrays(path)
    except DatasetError:
        return
    assert all(isinstance(array, np.ndarray) for array in found.values())
