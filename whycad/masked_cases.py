"""Cases on which a task's maps are judged: what a plugin's ``masked_cases`` function yields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from whycad.plugin import Plugin, contained
from whycad.types import Region, Study

# Thresholds are set on ``calibration``: cases of train on which no member was trained. ``report`` is held out.
Part = Literal["calibration", "report"]


@dataclass(frozen=True, eq=False)
class MaskedCase:
    """One image, and where its finding lies if that is known.

    Attributes
    ----------
    study : Study
    group : str
        Patient or lesion, for the bootstrap.
    region : Region or None
        Where a reader would point, for tasks that need to be told.
    mask : ndarray of bool or None
        On the study's spatial grid, drawn by people or by the simulator; never by the model.
    of : str
        What the mask is of, such as ``lesion``.
    called : str
        How such cases are called, such as ``re-cropped cases``.
    target : str
        Label code to explain; empty for the predicted one.
    """

    study: Study
    group: str
    region: Region | None = None
    mask: NDArray[np.bool_] | None = None
    of: str = ""
    called: str = "cases"
    target: str = ""


def masked_cases(plugin: Plugin, data: Path, part: Part, n: int, seed: int) -> Iterator[MaskedCase]:
    """Yield up to n cases of a task in a random order that the seed fixes; none where it offers none.

    Parameters
    ----------
    plugin : Plugin
    data : Path
        Folder of image packs.
    part : {"calibration", "report"}
    n, seed : int

    Raises
    ------
    PluginError
        When the plugin's code raises.
    DatasetError
        When a pack is not there.
    """
    reference = plugin.manifest.code.masked_cases
    if reference is None:
        return
    function = plugin.resolve(reference)
    with contained(plugin, "masked_cases"):
        yield from function(data, part, n, seed)
