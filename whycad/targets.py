"""What a map is asked to explain: one label, a boundary of an ordinal task, or one label against another.

In requests, results and on the command line a target is a text: ``F2``, ``>=F2``, ``mel/nv``.
"""

from __future__ import annotations

from dataclasses import dataclass

from whycad.errors import ExplanationError
from whycad.manifest import Manifest
from whycad.types import Prediction, TaskKind

AT_LEAST, AGAINST = ">=", "/"


@dataclass(frozen=True)
class Contrast:
    """Output columns that are asked about, together, and the columns they are set against.

    Attributes
    ----------
    columns, against : tuple of int
    """

    columns: tuple[int, ...]
    against: tuple[int, ...]


@dataclass(frozen=True)
class Target:
    """What a map is asked to explain.

    Attributes
    ----------
    label : str
        Label code.
    against : str
        Code of the label it is set against; empty for none.
    at_least : bool
        Whether the label is asked for together with all later ones, against all earlier ones.
    """

    label: str
    against: str = ""
    at_least: bool = False

    def __str__(self) -> str:
        if self.at_least:
            return f"{AT_LEAST}{self.label}"
        return f"{self.label}{AGAINST}{self.against}" if self.against else self.label

    def columns(self, codes: tuple[str, ...]) -> int | Contrast:
        """Return where the target is in an output whose columns are these label codes."""
        first = codes.index(self.label)
        if self.at_least:
            return Contrast(tuple(range(first, len(codes))), tuple(range(first)))
        return Contrast((first,), (codes.index(self.against),)) if self.against else first

    def name(self, manifest: Manifest) -> str:
        """Return the target in the reader's words, such as ``F2 or higher``."""
        name = manifest.label(self.label).name
        if self.at_least:
            return f"{name} or higher"
        return f"{name} rather than {manifest.label(self.against).name}" if self.against else name


def target_of(text: str, manifest: Manifest) -> Target:
    """Read a target.

    Parameters
    ----------
    text : str
        A label code, ``>=CODE`` in an ordinal task, or ``CODE/CODE`` where labels exclude each other.
    manifest : Manifest

    Raises
    ------
    ManifestError
        When the task has no such label.
    ExplanationError
        When the task cannot be asked that.
    """
    at_least = text.startswith(AT_LEAST)
    label, slash, against = text.removeprefix(AT_LEAST).partition(AGAINST)
    manifest.label(label)
    if at_least and (manifest.kind is not TaskKind.ORDINAL or label == manifest.label_codes[0] or slash):
        raise ExplanationError(
            f"task {manifest.id!r} cannot be asked about {text[:80]!r}",
            remedy="'at least' needs an ordinal task and a label that is not its lowest",
        )
    if slash:
        manifest.label(against)
        if against == label or manifest.kind is TaskKind.MULTILABEL:
            raise ExplanationError(
                f"task {manifest.id!r} cannot be asked about {text[:80]!r}",
                remedy="name two different labels that exclude each other",
            )
    return Target(label, against, at_least)


def target_name(text: str, manifest: Manifest) -> str:
    """Return a target in the reader's words; see ``target_of`` for what it raises."""
    return target_of(text, manifest).name(manifest)


def each_way(prediction: Prediction, manifest: Manifest) -> tuple[Target, ...]:
    """Return the targets of a set that holds two labels: each rather than the other; empty for other sets."""
    if manifest.kind is TaskKind.MULTILABEL or len(prediction.conformal_set) != 2:
        return ()
    first, second = prediction.conformal_set
    return Target(first, second), Target(second, first)
