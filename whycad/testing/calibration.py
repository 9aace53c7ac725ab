"""Calibrated test plugins: a small real plugin plus a calibration that changes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from whycad.plugin import Plugin
from whycad.testing.plugins import TinyPlugin, write_plugin
from whycad.testing.plugins import make_calibration as neutral_calibration

__all__ = ["neutral_calibration", "write_calibrated_plugin"]


def write_calibrated_plugin(parent: Path, spec: TinyPlugin | None = None) -> Plugin:
    """Write a test plugin whose calibration belongs to its weights.

    Parameters
    ----------
    parent : Path
        A folder to give to ``discover([parent])``.
    spec : TinyPlugin, optional
    """
    return write_plugin(parent, replace(spec or TinyPlugin(), calibrated=True))
