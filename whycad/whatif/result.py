"""What came of changing an image, and its way to a file and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whycad.errors import StoreError
from whycad.result_io import load_values, save_values
from whycad.types import FloatArray, MetadataValue, Prediction
from whycad.whatif.request import WhatIfKind
from whycad.wording import MINUS, percent

FORMAT = "whycad-what-if-1"
MAX_ITEMS = 64


@dataclass(frozen=True, eq=False)
class WhatIf:
    """One change of an image and what the model says then.

    Attributes
    ----------
    kind : WhatIfKind
    title : str
        One sentence with the numbers.
    mask : ndarray of bool
        What was changed, on the source's spatial grid.
    picture : ndarray of float32 (H, W) or (H, W, 3)
        The changed picture on the grid of what is shown, in the study's unit.
    before, after : Prediction
        With the numbers of the image as it is and as changed. Of a volume that is read slice by
        slice, both are of the one slice.
    accepted : bool
        Whether the task's gate lets the changed image pass, and its strangeness is within the
        bound of calibration.
    reasons : tuple of str
        Why it is not.
    sham : Prediction or None
        With a region of the same shape changed in the same way elsewhere.
    sham_mask : ndarray of bool or None
        Where that was, on the source's grid.
    remarks : tuple of str
        Sentences for the reader.
    parameters : mapping
        Everything needed to make it again, and figures such as ``epsilon`` or ``percentile``.
    seed : int
    shown : int or None
        Slice of a volume that ``picture`` is of.
    name : str
        Of an artefact, its kind.
    """

    kind: WhatIfKind
    title: str
    mask: NDArray[np.bool_]
    picture: FloatArray
    before: Prediction
    after: Prediction
    accepted: bool
    reasons: tuple[str, ...] = ()
    sham: Prediction | None = None
    sham_mask: NDArray[np.bool_] | None = None
    remarks: tuple[str, ...] = ()
    parameters: Mapping[str, MetadataValue] = field(default_factory=dict)
    seed: int = 0
    shown: int | None = None
    name: str = ""

    def change(self, label: str = "") -> float:
        """Return after less before of a label's probability; of the label predicted before by default."""
        label = label or self.before.predicted
        return self.after.probability(label) - self.before.probability(label)

    def sham_change(self, label: str = "") -> float | None:
        """Return the control's change of a label's probability; None where there is no control."""
        if self.sham is None:
            return None
        label = label or self.before.predicted
        return self.sham.probability(label) - self.before.probability(label)

    def sham_sentence(self, name: str) -> str:
        """Say what the control does to the label that was predicted, under its name; empty where there is none."""
        if self.sham is None:
            return ""
        was, now = (percent(p.probability(self.before.predicted)) for p in (self.before, self.sham))
        if was == now:
            return f"A sham of equal size elsewhere leaves {name} at {was}"
        change = 100 * (self.sham_change() or 0.0)
        points = f"{change:+.1f}".replace("-", MINUS)
        return f"A sham of equal size elsewhere changes {name} by {points} points, to {now}"

    @property
    def label_moved(self) -> bool:
        """Whether another label is predicted."""
        return self.after.predicted != self.before.predicted

    @property
    def set_moved(self) -> bool:
        """Whether the conformal set is another one."""
        return set(self.after.conformal_set) != set(self.before.conformal_set)


@dataclass(frozen=True, eq=False)
class _Saved:
    """What a file holds."""

    study_sha256: str
    plugin_id: str
    items: tuple[WhatIf, ...]


def save_what_ifs(items: Sequence[WhatIf], folder: Path, study_sha256: str, plugin_id: str) -> None:
    """Write what-ifs of one study to a folder, whole or not at all, losslessly.

    Raises
    ------
    StoreError
        When the folder cannot be written, or they are more than 64.
    """
    if len(items) > MAX_ITEMS:
        raise StoreError(f"{len(items)} changes are more than {MAX_ITEMS}")
    save_values(_Saved(study_sha256, plugin_id, tuple(items)), folder, FORMAT)


def load_what_ifs(folder: Path, study_sha256: str, plugin_id: str) -> tuple[WhatIf, ...]:
    """Read what ``save_what_ifs`` wrote for this study and task.

    Raises
    ------
    StoreError
        When files are missing, broken, or of another study or task.
    """
    saved = load_values(_Saved, folder, FORMAT)
    if (saved.study_sha256, saved.plugin_id) != (study_sha256, plugin_id):
        raise StoreError("the saved changes are of another case")
    return saved.items
