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
    sharpening : float
        How much the vendor's own filter raises the highest frequency, as a share; 0 leaves it.
    roll_off : float
        Width of the rounded end of k-space, as a share of the highest frequency.
    """

    name: str
    field_tesla: float
    matrix: tuple[float, float]
    noise: tuple[float, float]
    bias: tuple[float, float]
    breathing_mm: tuple[float, float]
    tissues: Mapping[str, float] = field(default_factory=dict)
    smoothing: float = 0.0
    sharpening: float = 0.0
    roll_off: float = 0.12

    @property
    def filter_kind(self) -> str:
        """What the vendor's filter does: ``smoothing``, ``sharpening`` or ``none``."""
        return "smoothing" if self.smoothing else "sharpening" if self.sharpening else "none"


# C and D are never trained or calibrated on: C is the other scanner of the tests, and D was looked
# at once, when all else was fixed. D's filter lies outside of the populations below.
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
        "D": ScannerSpec(
            "D",
            1.5,
            (0.7, 0.86),
            (0.04, 0.07),
            (0.1, 0.26),
            (0.0, 2.2),
            MappingProxyType({"fat": 1.12, "muscle": 1.04, "blood": 0.95, "kidney": 1.06}),
            sharpening=0.35,
            roll_off=0.3,
        ),
    }
)
NAMED_SCANNERS = ("A", "B")
HELD_OUT_SCANNER = "C"


@dataclass(frozen=True)
class Population:
    """Ranges that a scanner is drawn from: no two cases of a population share one.

    Attributes
    ----------
    lines, samples : tuple of float
        Acquired part of k-space along either axis.
    noise : tuple of float
        Lowest noise of a scanner, drawn evenly on a log scale; its highest is ``NOISE_RANGE`` times that.
    bias : tuple of float
        Middle of the coil's half log range.
    breathing_mm : tuple of float
        Largest breathing motion.
    contrast : float
        Half log range of the factor on each tissue's signal; fat, whose suppression varies, has twice that.
    smoothing, sharpening : tuple of float
        Of the vendor's filter; a scanner has the one, the other or neither.
    roll_off : tuple of float
    """

    lines: tuple[float, float]
    samples: tuple[float, float]
    noise: tuple[float, float]
    bias: tuple[float, float]
    breathing_mm: tuple[float, float]
    contrast: float
    smoothing: tuple[float, float]
    sharpening: tuple[float, float]
    roll_off: tuple[float, float]


NOISE_RANGE = 1.5
# What a network is trained on, and the somewhat wider one that it is calibrated on: scores then
# hold scanners that training did not reach, as the next one may be.
POPULATIONS: Mapping[str, Population] = MappingProxyType(
    {
        "VARIED": Population(
            lines=(0.7, 1.0),
            samples=(0.8, 1.0),
            noise=(0.024, 0.055),
            bias=(0.08, 0.19),
            breathing_mm=(1.0, 2.2),
            contrast=0.1,
            smoothing=(0.0, 0.6),
            sharpening=(0.0, 0.5),
            roll_off=(0.08, 0.2),
        ),
        "WIDER": Population(
            lines=(0.66, 1.0),
            samples=(0.76, 1.0),
            noise=(0.021, 0.06),
            bias=(0.07, 0.22),
            breathing_mm=(0.8, 2.5),
            contrast=0.12,
            smoothing=(0.0, 0.7),
            sharpening=(0.0, 0.6),
            roll_off=(0.06, 0.24),
        ),
    }
)
TRAINING_SCANNERS = ("VARIED",)
CALIBRATION_SCANNERS = ("WIDER",)


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


def find_scanner(name: str, rng: np.random.Generator) -> ScannerSpec:
    """Return a scanner by name, or draw one where the name is a population's.

    Raises
    ------
    DatasetError
        When there is none of that name.
    """
    check_scanner(name)
    return SCANNERS[name] if name in SCANNERS else draw_scanner(rng, name)


def check_scanner(name: str) -> None:
    """Refuse what is neither a scanner nor a population.

    Raises
    ------
    DatasetError
    """
    if name not in SCANNERS and name not in POPULATIONS:
        known = ", ".join((*SCANNERS, *POPULATIONS))
        raise DatasetError("there is no simulated scanner of that name", remedy=f"one of {known}")


def draw_scanner(rng: np.random.Generator, population: str) -> ScannerSpec:
    """Draw one scanner of a population; C is never aimed at, and chance alone decides how near one comes."""
    ranges = POPULATIONS[population]

    def between(limits: tuple[float, float]) -> float:
        return float(rng.uniform(*limits))

    lines, samples = between(ranges.lines), between(ranges.samples)
    quietest, shade = float(np.exp(between(_logs(ranges.noise)))), between(ranges.bias)
    factors = np.exp(ranges.contrast * rng.uniform(-1, 1, len(TISSUES)))
    tissues = {tissue: float(f) ** (2 if tissue == "fat" else 1) for tissue, f in zip(TISSUES, factors, strict=True)}
    smoothing, sharpening, style = between(ranges.smoothing), between(ranges.sharpening), int(rng.integers(3))
    return ScannerSpec(
        name=population,
        field_tesla=float(rng.choice([1.5, 3.0])),
        matrix=(lines, samples),
        noise=(quietest, NOISE_RANGE * quietest),
        bias=(0.6 * shade, 1.4 * shade),
        breathing_mm=(0.0, between(ranges.breathing_mm)),
        tissues=MappingProxyType(tissues),
        smoothing=smoothing if style == 1 else 0.0,
        sharpening=sharpening if style == 2 else 0.0,
        roll_off=between(ranges.roll_off),
    )


def _logs(limits: tuple[float, float]) -> tuple[float, float]:
    return float(np.log(limits[0])), float(np.log(limits[1]))


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


def _k_space_window(side: int, share: float, scanner: ScannerSpec) -> FloatArray:
    """Return the weight of each spatial frequency: the acquired part, rounded off at its end, and the filter."""
    frequency = np.abs(fft.fftfreq(side)).astype(np.float32) * 2
    edge = np.clip((np.float32(share) - frequency) / np.float32(scanner.roll_off) + 0.5, 0, 1)
    blur = np.exp(-((np.pi * scanner.smoothing * frequency / 2) ** 2) * 2)
    raised = 1 + np.float32(scanner.sharpening) * frequency**2
    return np.asarray(edge * blur * raised, np.float32)


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
    rows = _k_space_window(side, scanner.matrix[0], scanner)
    columns = _k_space_window(side, scanner.matrix[1], scanner)
    magnitude = np.abs(fft.ifft2(spectrum * rows[:, None] * columns[None, :]))
    white = float(np.percentile(magnitude, WHITE_PERCENTILE))
    scaled = magnitude * (0.9 * FULL_SCALE * acquisition.gain / max(white, 1e-6))
    return np.asarray(np.rint(np.clip(scaled, 0, FULL_SCALE)), np.uint8)
