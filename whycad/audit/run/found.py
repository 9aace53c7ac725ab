"""Which artefacts the detectors find in every image: no network, once per image."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whycad import __version__
from whycad.audit.data.cases import UNKNOWN, AuditCases
from whycad.audit.data.dataset import DatasetRef
from whycad.audit.run.chunk_files import failure_text
from whycad.audit.run.predicting import Case, columns_digest, read_cases, row_contents
from whycad.errors import WhyCadError

if TYPE_CHECKING:
    import pyarrow as pa

    from whycad.audit.context import AuditContext
    from whycad.audit.run.engine import Worker
    from whycad.plugin import Plugin

# Part of the cache's key: raise it when a detector finds something else.
DETECTORS_VERSION = 1
# Detectors of colour images take half a second each; so many images show how common artefacts are.
MOST_SEARCHED = 1000


@dataclass(frozen=True)
class FoundJob:
    """Look for artefacts in every row: ``names`` and ``shares`` of the image, one entry per kind, and ``error``."""

    dataset: DatasetRef
    name: str = "artefacts"

    @property
    def digest(self) -> str:
        """Hash of the task, of columns that it reads beside the images, and the versions."""
        from whycad.registry import discover

        plugin = discover().get(self.dataset.task)
        columns = columns_digest(self.dataset, plugin)
        facts = f"{plugin.id} {plugin.manifest.version} {DETECTORS_VERSION} {__version__} {columns}"
        return hashlib.sha256(facts.encode()).hexdigest()

    def content(self, rows: Sequence[int]) -> Sequence[str]:
        """Return the hash of each row's image."""
        return row_contents(self.dataset.open(), rows)

    def open(self) -> Worker:
        """Open the data set."""
        from whycad.registry import discover

        plugin, dataset = discover().get(self.dataset.task), self.dataset.open()

        def work(rows: Sequence[int]) -> pa.Table:
            import pyarrow as pa

            records = [_record(case, plugin) for case in read_cases(dataset, rows)]
            texts, numbers = pa.list_(pa.string()), pa.list_(pa.float64())
            schema = pa.schema([("error", pa.string()), ("names", texts), ("shares", numbers)])
            return pa.Table.from_pylist(records, schema)

        return work


def _record(case: Case | WhyCadError, plugin: Plugin) -> dict[str, object]:
    from whycad.whatif.artefacts import find_artefacts

    try:
        if isinstance(case, WhyCadError):
            raise case
        found = find_artefacts(case[0], plugin)
    except WhyCadError as error:
        return {"error": failure_text(error), "names": [], "shares": []}
    shares: dict[str, float] = {}
    for item in found:
        shares[item.name] = shares.get(item.name, 0.0) + float(item.mask.mean())
    return {"error": "", "names": list(shares), "shares": list(shares.values())}


@dataclass(frozen=True, eq=False)
class ArtefactsFound:
    """Which artefacts are in n rows of a scope.

    Attributes
    ----------
    kinds : tuple of str
        Those found anywhere.
    there : ndarray of bool (n, len(kinds))
        Whether each row has each; False where it was not looked for.
    searched : ndarray of bool (n,)
        Where it was looked for.
    """

    kinds: tuple[str, ...]
    there: NDArray[np.bool_]
    searched: NDArray[np.bool_]

    def of(self, kind: str) -> NDArray[np.bool_]:
        """Return which rows have one, ``(n,)``."""
        return np.asarray(self.there[:, self.kinds.index(kind)])


def artefacts_found(context: AuditContext) -> ArtefactsFound:
    """Return what is found in the scope's scored images; looked for once per audit.

    Of more than a thousand images only those are searched that the metadata say have an artefact, and a
    random part of the others. What the metadata say is not there counts as not there.
    """
    found = context.once("artefacts_found", lambda: _search(context))
    assert isinstance(found, ArtefactsFound)
    return found


def _search(context: AuditContext) -> ArtefactsFound:
    searched = _chosen(context)
    rows = context.scope[searched].tolist()
    names = context.computed(FoundJob(context.ref), rows).read(["names"])["names"].to_pylist() if rows else []
    kinds = tuple(sorted({name for row in names for name in row}))
    there = np.zeros((len(context.scope), len(kinds)), bool)
    there[searched] = np.array([[kind in row for kind in kinds] for row in names], bool).reshape(len(rows), len(kinds))
    for place, kind in enumerate(kinds):
        there[:, place] &= ~_denied(context.in_scope, kind)
    mask = np.zeros(len(context.scope), bool)
    mask[searched] = True
    return ArtefactsFound(kinds, there, mask)


def _denied(cases: AuditCases, kind: str) -> NDArray[np.bool_]:
    """Return where the metadata say that there is no such artefact."""
    column = cases.column(kind)
    if column is None or column.role != "artefact":
        return np.zeros(len(cases), bool)
    return np.asarray(column.known & (column.values == "no"))


def _chosen(context: AuditContext) -> NDArray[np.int64]:
    scored = np.flatnonzero(context.answers.scored)
    if len(scored) <= MOST_SEARCHED:
        return scored
    columns = [column for column in context.in_scope.columns if column.role == "artefact"]
    said = np.zeros(len(context.scope), bool)
    for column in columns:
        said |= (column.values != UNKNOWN) & (column.values != "no")
    order = np.random.default_rng(context.options.seed).permutation(scored)
    first = np.concatenate([order[said[order]], order[~said[order]]])
    return np.sort(first[:MOST_SEARCHED])
