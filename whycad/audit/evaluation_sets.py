"""Which packs each task is judged on, relative to the folder of image packs.

``main`` is the held-out part with labels; ``unseen`` are diseases that the task was never shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Role = Literal["main", "unseen"]


@dataclass(frozen=True)
class EvaluationSet:
    """One data set of a task.

    Attributes
    ----------
    task : str
    name : str
        For the reader.
    path : str or Path
        Of the pack; relative to the data folder, or absolute.
    split : str or None
    where : tuple of (str, str)
        Columns that must hold these values.
    role : str
    most_missed : float or None
        Bound on the share of unseen disease that may be called healthy, by patient.
    """

    task: str
    name: str
    path: str | Path
    split: str | None = None
    where: tuple[tuple[str, str], ...] = ()
    role: Role = "main"
    most_missed: float | None = None

    def file(self, data: Path) -> Path:
        """Return the pack's path."""
        return data / self.path


SETS = (
    EvaluationSet("skin_lesion", "HAM10000, val", "skin/ham10000.npz", "val"),
    EvaluationSet("lung_nodule", "LIDC-IDRI key slices, val", "lung/lidc_key_slices.npz", "val"),
    EvaluationSet(
        "retinal_oct",
        "Kermany CNV and normal, val",
        "oct/kermany_cnv_normal.npz",
        "val",
        (("near_fold_border", "False"),),
    ),
    EvaluationSet(
        "retinal_oct", "Drusen", "oct/kermany_named.npz", None, (("label", "DRUSEN"),), "unseen", most_missed=0.30
    ),
    EvaluationSet(
        "retinal_oct",
        "Diabetic macular oedema",
        "oct/kermany_named.npz",
        None,
        (("label", "DME"),),
        "unseen",
        most_missed=0.15,
    ),
    EvaluationSet(
        "retinal_oct",
        "Duke, with fluid",
        "oct/duke_dme_fluid.npz",
        None,
        (("label", "FLUID"),),
        "unseen",
        most_missed=0.10,
    ),
)
TASKS = ("skin_lesion", "lung_nodule", "retinal_oct", "liver_fibrosis")


def sets_of(task: str, sets: tuple[EvaluationSet, ...] = SETS) -> tuple[EvaluationSet, ...]:
    """Return a task's sets, the main one first."""
    mine = [item for item in sets if item.task == task]
    return tuple(sorted(mine, key=lambda item: item.role != "main"))
