"""Simulated slices as other MR sequences would show them: what the gate learns to refuse, and is tested on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from plugins.liver_fibrosis.effects import STAGES, draw_signs
from plugins.liver_fibrosis.make_data import STREAMS
from plugins.liver_fibrosis.simulator import paint
from plugins.liver_fibrosis.simulator_anatomy import build_anatomy, draw_habitus
from plugins.liver_fibrosis.simulator_scanner import SCANNERS, acquire, draw_acquisition

# The liver's signal relative to the spleen's, and factors on the signal of tissues; chosen to look
# like these sequences.
OTHER_SEQUENCES: Mapping[str, tuple[float, Mapping[str, float]]] = {
    "without contrast agent": (1.15, {"kidney": 0.6, "blood": 0.7}),
    "without fat suppression": (1.75, {"fat": 6.0}),
    "T2-weighted": (0.45, {"fat": 3.0, "fluid": 12.0, "kidney": 1.0, "blood": 0.4, "stomach": 6.0}),
}
SHOWN_ON = ("A", "B", "C")


def named_sequence(seed: int, name: str) -> NDArray[np.uint8]:
    """Simulate a slice ``(160, 160)`` of one of ``OTHER_SEQUENCES``, on ``SHOWN_ON`` in turn."""
    rng = np.random.default_rng((99, seed))
    scanner = SHOWN_ON[seed % len(SHOWN_ON)]
    return _slice(rng, seed % len(STAGES), scanner, *OTHER_SEQUENCES[name])


def without_agent(seed: int, scanners: tuple[str, ...]) -> NDArray[np.uint8]:
    """Simulate a slice ``(160, 160)`` before the agent: liver hardly brighter, vessels and kidneys dark.

    This is the sequence that the gate cannot tell by layout alone, so it is shown some.
    """
    rng = np.random.default_rng((STREAMS["gate"], 1, seed))
    factors = {"blood": float(rng.uniform(0.5, 0.85)), "kidney": float(rng.uniform(0.4, 0.8))}
    return _slice(rng, seed % len(STAGES), scanners[seed % len(scanners)], float(rng.uniform(1.0, 1.35)), factors)


def _slice(
    rng: np.random.Generator, stage: int, scanner: str, ratio: float, factors: Mapping[str, float]
) -> NDArray[np.uint8]:
    signs = draw_signs(rng, stage) | {"liver_to_spleen": ratio}
    anatomy = build_anatomy(rng, draw_habitus(rng), signs)
    usual = draw_acquisition(rng, SCANNERS[scanner])
    tissues = {tissue: signal * factors.get(tissue, 1.0) for tissue, signal in usual.tissues.items()}
    acquisition = replace(usual, tissues=tissues)
    return acquire(rng, paint(rng, anatomy, signs, acquisition), anatomy.grid, acquisition)
