"""Tell what a path holds and open it."""

from __future__ import annotations

from whycad.audit.data.dataset import AuditDataset, DatasetRef
from whycad.errors import DatasetError
from whycad.plugin import Plugin

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")


def open_dataset(ref: DatasetRef) -> AuditDataset:
    """Open a pack, a table, a folder of images, a tree of DICOM files, or a single image.

    Raises
    ------
    DatasetError
        When there is nothing there, or it is no data set.
    """
    from whycad.audit.data.samples import is_samples, open_samples

    path = ref.path
    plugin = _plugin(ref)
    if is_samples(path):
        return open_samples(plugin)
    manifest = None if plugin is None else plugin.manifest
    if not path.exists():
        raise DatasetError(f"there is no file or folder {path.name!r}", remedy="check the path after --dataset")
    if path.suffix.lower() == ".npz":
        from whycad.audit.data.packs import open_pack

        return open_pack(path, plugin)
    if path.is_file() and path.suffix.lower() in TABLE_SUFFIXES:
        from whycad.audit.data.files import without_own_folder
        from whycad.audit.data.tables import open_table

        return without_own_folder(open_table(path, manifest), path.parent)
    from whycad.audit.data.folders import open_folder

    return open_folder(path, manifest)


def _plugin(ref: DatasetRef) -> Plugin | None:
    from whycad.registry import discover

    return discover().get(ref.task) if ref.task else None
