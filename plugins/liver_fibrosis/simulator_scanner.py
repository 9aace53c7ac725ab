"""The MR scanner of the simulator: contrast, coil, breathing, resolution and noise.

References
----------
Gudbjartsson and Patz, Magn Reson Med 1995;34:910-914: noise of magnitude images is Rician.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from plugins.liver_fibrosis.simulator_fields import FloatArray, Grid
from whycad.errors import DatasetError

# Signal relative to the spleen on a fat-suppressed T1-weighted gradient echo 20 minutes after
# gadoxetate; chosen to look like one. The liver's comes from the case.
TISSUES: Mapping[str, float] = MappingProxyType(
    {"muscle": 0.82, "fat": 0.34, "kidney": 1.55, "blood": 1.02, "stomach": 0.3, "fluid": 0.22, "bone": 0.55}
)
# Log deviation between patients; what is swallowed varies most.
TISSUE_SPREAD: Mapping[str, float] = MappingProxyType({"stomach": 0.5, "kidney": 0.12, "blood": 0.05})
FULL_SCALE = 255
WHITE_PERCENTILE = 99.5


@dataclass(frozen=True)
class ScannerSpec:
    """What is characteristic of one scanner; ranges are drawn from for every case.

    Attributes
    ----------
    name : str
    field_tesla : float
    matrix : tuple of float
        Acquired lines and samples as a share of the reconstructed matrix.
    noise : tuple of float
        Standard deviation of the complex noise, in units of the spleen's signal.
    bias : tuple of float
        Half the log range of the coil's sensitivity over the body.
    breathing_mm : tuple of float
        Amplitude of the residual breathing motion.
    tissues : mapping of str to float
        Factors on ``TISSUES`` where this scanner differs.
    smoothing : float
        Of the vendor's own filter, in pixels.
    """

    name: str
    field_tesla: float
    matrix: tuple[float, float]
    noise: tuple[float, float]
    bias: tuple[float, float]
    breathing_mm: tuple[float, float]
    tissues: Mapping[str, float] = field(default_factory=dict)
    smoothing: float = 0.0


# C is never trained or calibrated on: it is the other scanner of the tests.
SCANNERS: Mapping[str, ScannerSpec] = MappingProxyType(
    {
        "A": ScannerSpec(
            "A", 1.5, (0.72, 0.9), (0.045, 0.075), (0.05, 0.15), (0.0, 1.6), MappingProxyType({"fat": 1.2})
        ),
        "B": ScannerSpec(
            "B",
            3.0,
            (0.85, 1.0),
            (0.025, 0.05),
            (0.08, 0.24),
            (0.0, 1.8),
            MappingProxyType({"muscle": 1.06, "kidney": 1.08, "bone": 0.85}),
        ),
        "C": ScannerSpec(
            "C",
            3.0,
            (0.78, 0.95),
            (0.035, 0.06),
            (0.07, 0.2),
            (0.0, 2.0),
            MappingProxyType({"muscle": 0.96, "fat": 0.9, "blood": 1.05, "kidney": 0.94}),
            0.35,
        ),
    }
)
TRAINING_SCANNERS = ("A", "B")
HELD_OUT_SCANNER = "C"


@dataclass(frozen=True)
class Acquisition:
    """One draw from a scanner's ranges; ``tissues`` holds each tissue's signal relative to the spleen."""

    scanner: ScannerSpec
    noise: float
    bias: float
    breathing_mm: float
    gain: float
    tissues: Mapping[str, float]

    def signal(self, tissue: str) -> float:
        """Return a tissue's signal relative to the spleen's."""
        return self.tissues[tissue]


def find_scanner(name: str) -> ScannerSpec:
    """Return a scanner by name.

    Raises
    ------
    DatasetError
        When there is none of that name.
    """
    if name not in SCANNERS:
        raise DatasetError("there is no simulated scanner of that name", remedy=f"one of {', '.join(SCANNERS)}")
    return SCANNERS[name]


def draw_acquisition(rng: np.random.Generator, scanner: ScannerSpec) -> Acquisition:
    """Draw noise, coil, breathing and the patient's own tissue contrast of one case."""
    limits = (scanner.noise, scanner.bias, scanner.breathing_mm)
    noise, bias, breathing_mm = (float(rng.uniform(low, high)) for low, high in limits)
    gain = float(rng.uniform(0.75, 1.0))
    own = np.exp(rng.normal(0, [TISSUE_SPREAD.get(tissue, 0.08) for tissue in TISSUES]))
    tissues = {
        tissue: signal * scanner.tissues.get(tissue, 1.0) * float(factor)
        for (tissue, signal), factor in zip(TISSUES.items(), own, strict=True)
    }
    return Acquisition(scanner, noise, bias, breathing_mm, gain, MappingProxyType(tissues))


def coil_bias(rng: np.random.Generator, grid: Grid, amplitude: float) -> FloatArray:
    """Return a smooth factor ``(H, W)``: exp of a random cubic, of half log range ``amplitude``."""
    reach = np.float32(np.abs(grid.x).max())
    u, v = grid.x / reach, grid.y / reach
    terms = (u, v, u * v, u * u, v * v, u**3, v**3)
    weights = rng.normal(size=len(terms)) * np.array([1.0, 1.0, 0.7, 0.7, 0.7, 0.4, 0.4])
    log_field = np.sum([np.float32(w) * term for w, term in zip(weights, terms, strict=True)], axis=0)
    inside = (u * u + v * v) < 0.6
    low, high = np.percentile(log_field[inside], [2, 98])
    centred = (log_field - (low + high) / 2) / max(float(high - low) / 2, 1e-6)
    return np.asarray(np.exp(np.clip(centred, -1.6, 1.6) * amplitude), np.float32)


def _k_space_window(side: int, share: float, smoothing: float) -> FloatArray:
    """Return the weight of each spatial frequency: the acquired part, rounded off at its end."""
    frequency = np.abs(fft.fftfreq(side)).astype(np.float32) * 2
    edge = np.clip((np.float32(share) - frequency) / np.float32(0.12) + 0.5, 0, 1)
    blur = np.exp(-((np.pi * smoothing * frequency / 2) ** 2) * 2)
    return np.asarray(edge * blur, np.float32)


def _breathing_phase(rng: np.random.Generator, side: int, amplitude_px: float) -> NDArray[np.complex64]:
    """Return a phase per acquired line: the body rises and falls while lines are taken."""
    lines = fft.fftfreq(side)
    breaths, start = rng.uniform(2.0, 5.0), rng.uniform(0, 2 * np.pi)
    position = amplitude_px * np.sin(2 * np.pi * breaths * (lines + 0.5) + start)
    return np.asarray(np.exp(-2j * np.pi * lines * position), np.complex64)


def acquire(rng: np.random.Generator, signal: FloatArray, grid: Grid, acquisition: Acquisition) -> NDArray[np.uint8]:
    """Image a body: coil, breathing, complex noise, limited resolution, magnitude, 8 bits.

    Parameters
    ----------
    rng : numpy.random.Generator
    signal : ndarray of float32 (H, W)
        In units of the spleen's signal.
    grid : Grid
    acquisition : Acquisition

    Returns
    -------
    ndarray of uint8 (H, W)
    """
    side, scanner = signal.shape[0], acquisition.scanner
    received = signal * coil_bias(rng, grid, acquisition.bias)
    noise = rng.standard_normal((2, *signal.shape), dtype=np.float32) * np.float32(acquisition.noise)
    spectrum = np.asarray(fft.fft2(received))
    spectrum = spectrum * _breathing_phase(rng, side, acquisition.breathing_mm / grid.pixel_mm)[:, None]
    spectrum = spectrum + np.asarray(fft.fft2(noise[0] + 1j * noise[1]))
    rows = _k_space_window(side, scanner.matrix[0], scanner.smoothing)
    columns = _k_space_window(side, scanner.matrix[1], scanner.smoothing)
    magnitude = np.abs(fft.ifft2(spectrum * rows[:, None] * columns[None, :]))
    white = float(np.percentile(magnitude, WHITE_PERCENTILE))
    scaled = magnitude * (0.9 * FULL_SCALE * acquisition.gain / max(white, 1e-6))
    return np.asarray(np.rint(np.clip(scaled, 0, FULL_SCALE)), np.uint8)
