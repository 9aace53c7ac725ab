"""Tell what a path holds and open it."""

from __future__ import annotations

from whycad.audit.data.dataset import AuditDataset, DatasetRef
from whycad.errors import DatasetError
from whycad.plugin import Plugin

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")


def open_dataset(ref: DatasetRef) -> AuditDataset:
    """Open a pack, a table, a folder of images or a tree of DICOM files.

    Raises
    ------
    DatasetError
        When there is nothing there, or it is no data set.
    """
    from whycad.audit.data.packs import open_pack
    from whycad.audit.data.samples import is_samples, open_samples

    if is_samples(ref.path):
        return open_samples(_plugin(ref))
    if not ref.path.exists():
        raise DatasetError(f"there is no file or folder {ref.path.name!r}", remedy="check the path after --dataset")
    if ref.path.suffix.lower() == ".npz":
        return open_pack(ref.path, _plugin(ref))
    raise DatasetError(f"{ref.path.name!r} is no data set that an audit reads")


def _plugin(ref: DatasetRef) -> Plugin | None:
    from whycad.registry import discover

    return discover().get(ref.task) if ref.task else None
