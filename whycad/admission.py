"""What may be scored: the task's own gate and its preprocessing, after one look at the study for both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from whycad.types import ModelInput, Region, Study

if TYPE_CHECKING:
    from whycad.plugin import Plugin


@dataclass(frozen=True, eq=False)
class Survey:
    """What a plugin found in one study, for its own gate and preprocessing alone.

    Attributes
    ----------
    found : tuple of object
        Their third argument, whatever the plugin's ``survey`` returned; empty without such a function.
    """

    found: tuple[object, ...] = ()


@dataclass(frozen=True, eq=False)
class Admission:
    """What a task made of a study before any network saw it.

    Attributes
    ----------
    refused : tuple of str
        The gate's reasons; empty where the study may be scored.
    inputs : ModelInput or None
        None where it may not, unless inputs were wanted all the same.
    """

    refused: tuple[str, ...]
    inputs: ModelInput | None


def admit(plugin: Plugin, study: Study, region: Region | None, *, anyway: bool = False) -> Admission:
    """Ask the task's own gate, and preprocess what it lets pass.

    Parameters
    ----------
    plugin : Plugin
    study : Study
        Without ``input_problems``.
    region : Region or None
    anyway : bool
        Preprocess what the gate refuses too: simulated studies are shown for demonstration.

    Raises
    ------
    GeometryError, PluginError
        As ``Plugin.survey``, ``Plugin.gate`` and ``Plugin.preprocess``.
    """
    survey = plugin.survey(study, region)
    refused = plugin.gate(study, region, survey)
    if refused and not anyway:
        return Admission(refused, None)
    return Admission(refused, plugin.preprocess(study, region, survey))
