"""Packs of simulated slices, and what training makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from plugins.liver_fibrosis.data import ORGAN_SHAPE, slice_study, stage_only_table, stored_table
from plugins.liver_fibrosis.make_data import STREAMS, PackOrder, main, make_pack, write_pack
from plugins.liver_fibrosis.preprocess import INPUT_SHAPE
from plugins.liver_fibrosis.rows import read_row
from plugins.liver_fibrosis.train import calibration_order, named_order, varied_order
from whycad.datasets.pack import read_pack
from whycad.errors import DatasetError, StoreError

ORDER = PackOrder(10, 3, ("A", "C"))


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    path = tmp_path_factory.mktemp("packs") / "liver.npz"
    write_pack(ORDER, path)
    return read_pack(path)


def test_a_pack_is_the_same_each_time(pack, tmp_path):
    write_pack(ORDER, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == pack.path.read_bytes()
    write_pack(PackOrder(10, 4, ("A", "C")), tmp_path / "other.npz")
    assert (tmp_path / "other.npz").read_bytes() != pack.path.read_bytes()


def test_a_pack_reads_as_any_other(pack):
    assert len(pack) == 10
    assert [pack.label_name(row) for row in range(5)] == ["F0", "F1", "F2", "F3", "F4"]
    assert len({pack.group(row) for row in range(10)}) == 10
    assert list(pack.rows("val")) == list(range(10))
    assert pack.text("scanner", 0) == "A"
    assert pack.text("scanner", 5) == "C"
    assert "simulated data" in str(pack.arrays["description"])


def test_every_scanner_sees_every_stage(pack):
    pairs = {(str(s), int(y)) for s, y in zip(pack.arrays["scanner"], pack.arrays["y"], strict=True)}
    assert len(pairs) == 10


def test_masks_and_latents_belong_to_their_images(pack):
    item = ORDER.slice(7)
    liver = np.unpackbits(pack.arrays["liver_mask_packed"], axis=2).astype(bool)[7]
    assert np.array_equal(liver, item.masks["liver"])
    np.testing.assert_allclose(pack.arrays["latents"][7], list(item.latents.values()), rtol=1e-5)
    assert [str(name) for name in pack.arrays["latent_names"]] == list(item.latents)


def test_rows_say_that_they_are_simulated_mr(pack):
    study, region = read_row(pack, 6)
    assert region is None
    assert study.simulated
    assert study.modality == "MR"
    assert study.metadata == {"scanner": "C"}
    assert study.spacing_mm == pytest.approx((ORDER.slice(6).pixel_mm,) * 2, rel=1e-5)
    assert np.array_equal(study.pixels, slice_study(ORDER.slice(6)).pixels)


def test_rows_of_other_packs_are_read_plainly(tmp_path):
    np.savez(tmp_path / "other.npz", images=np.zeros((2, 80, 80), np.uint8))
    study, _ = read_row(read_pack(tmp_path / "other.npz"), 0)
    assert study.modality == "OT"
    assert not study.simulated


def test_no_stream_repeats_another():
    assert len(set(STREAMS.values())) == len(STREAMS)
    one, other = (PackOrder(1, 0, ("A",), stream=stream).slice(0).image for stream in ("train", "pack"))
    assert not np.array_equal(one, other)
    orders = (named_order(0), varied_order(0), calibration_order(0))
    assert len({order.stream for order in orders}) == 3
    assert {name for order in orders for name in order.scanners} == {"A", "B", "VARIED", "WIDER"}


def test_an_order_knows_the_scanner_of_each_case():
    order = calibration_order(0)
    kinds = [order.scanner(index).filter_kind for index in range(60)]
    assert {kinds.count(kind) > 8 for kind in ("none", "smoothing", "sharpening")} == {True}
    assert order.scanner(3) == order.scanner(3) != order.scanner(4)
    assert ORDER.scanner(5).name == "C"
    assert ORDER.scanner(5).filter_kind == "smoothing"


@pytest.mark.parametrize("wrong", [{"n": 0}, {"seed": -1}, {"scanners": ()}, {"scanners": ("X",)}])
def test_impossible_orders_are_refused(wrong):
    with pytest.raises(DatasetError):
        PackOrder(**({"n": 1, "seed": 0, "scanners": ("A",)} | wrong))


def test_the_command_writes_a_pack_and_says_what_is_wrong(tmp_path, capsys):
    assert main(["--out", str(tmp_path / "p.npz"), "--n", "2", "--seed", "5", "--scanner", "b"]) == 0
    assert "2 simulated slices" in capsys.readouterr().out
    assert str(read_pack(tmp_path / "p.npz").arrays["scanner"][0]) == "B"
    assert main(["--out", str(tmp_path / "p.npz"), "--scanner", "Q"]) == 1
    assert "no simulated scanner" in capsys.readouterr().err


def test_a_pack_that_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(StoreError, match="cannot be written"):
        write_pack(PackOrder(1, 0, ("A",)), tmp_path / "missing" / "p.npz")


def test_a_pack_of_one_array_each_has_the_same_length():
    arrays = make_pack(PackOrder(3, 1, ("B",)))
    for name in ("images", "y", "patient", "scanner", "split", "pixel_mm", "latents", "liver_mask_packed"):
        assert len(arrays[name]) == 3


def test_the_training_table_is_stored_once(tmp_path):
    order = PackOrder(5, 0, ("A",), stream="train")
    table = stored_table(order, tmp_path / "cases.npz")
    assert table.inputs.shape == (5, *INPUT_SHAPE)
    assert table.organs.shape == (5, 2, *ORGAN_SHAPE)
    assert list(table.labels) == [0, 1, 2, 3, 4]
    assert table.known.all()
    stamp = (tmp_path / "cases.npz").stat().st_mtime_ns
    again = stored_table(order, tmp_path / "cases.npz")
    assert (tmp_path / "cases.npz").stat().st_mtime_ns == stamp
    assert np.array_equal(again.inputs, table.inputs)


def test_organs_of_the_table_lie_where_the_input_shows_them(tmp_path):
    table = stored_table(PackOrder(5, 1, ("B",), stream="train"), tmp_path / "cases.npz")
    cells = table.inputs.astype(np.float64).reshape(5, 28, 4, 36, 4).mean(axis=(2, 4))
    for image, organs in zip(cells, table.organs, strict=True):
        liver, spleen = organs[0] > 200, organs[1] > 200
        assert image[liver].mean() > image[spleen].mean() > image[(organs < 1).all(axis=0)].mean()


def test_of_real_cases_nothing_but_the_stage_is_known():
    table = stage_only_table(np.zeros((3, *INPUT_SHAPE), np.float16), np.array([0, 2, 4]))
    assert not table.known.any()
    assert len(table) == 3
