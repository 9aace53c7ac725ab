"""Calibrated test plugins: a small real plugin plus a calibration that changes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from whycad.plugin import Plugin
from whycad.testing.plugins import TinyPlugin, write_plugin
from whycad.uncertainty.calibration import Calibration, CalibrationSource


def neutral_calibration(plugin: Plugin) -> Calibration:
    """Return a calibration that leaves probabilities as they are; its scores are uniform in 0..1."""
    codes = plugin.manifest.label_codes
    k = len(codes)
    return Calibration(
        source=CalibrationSource(
            dataset="made", selection="none", n=100, n_groups=100, weights_sha256=plugin.weights_sha256
        ),
        labels=codes,
        log_prior_shift=(0.0,) * k,
        temperature=1.0,
        offset=(0.0,) * k,
        prior=(1.0 / k,) * k,
        conformal_scores=dict.fromkeys(codes, tuple(float(v) for v in np.linspace(0, 1, 99))),
        epistemic_quantiles=tuple(float(v) for v in np.linspace(0, 1, 101)),
    )


def write_calibrated_plugin(parent: Path, spec: TinyPlugin | None = None) -> Plugin:
    """Write a test plugin whose calibration belongs to its weights.

    Parameters
    ----------
    parent : Path
        A folder to give to ``discover([parent])``.
    spec : TinyPlugin, optional
    """
    plugin = write_plugin(parent, replace(spec or TinyPlugin(), calibration={}))
    path = plugin.calibration_path()
    assert path is not None
    path.write_text(neutral_calibration(plugin).model_dump_json(), encoding="utf-8")
    return plugin
