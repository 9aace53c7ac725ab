"""Simulated B-scans with known disease, and one small volume, drawn from a seed.

They show the screen and test the code. The model was trained on real scans, and its gate is not
loosened for these: what it says of a simulated scan is shown as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from plugins.retinal_oct.phantom_scan import DEPTH_MM, WIDTH_MM, Dome, ScanOptions, render_scan
from whycad.phantom import DeferredCase, PhantomCase
from whycad.types import Study

N_FRAMES = 16
FRAME_SPACING_MM = 0.24


@dataclass(frozen=True)
class Sample:
    """One entry of the sample list.

    Attributes
    ----------
    name, description, label : str
        The label is ``normal`` for every scan without neovascularisation: the task has no other.
    seed : int
    options : ScanOptions
    volume : bool
        Sixteen frames through the disease instead of one.
    """

    name: str
    description: str
    label: str
    seed: int
    options: ScanOptions = field(default_factory=ScanOptions)
    volume: bool = False


LESION = ScanOptions(
    detachments=(Dome(2.9, 0.75, 0.17),),
    fluid=(Dome(3.7, 0.55, 0.10),),
    swelling=(Dome(3.1, 0.9, 0.06),),
    cysts=3,
    foci=2,
)
SAMPLES: tuple[Sample, ...] = (
    Sample("Normal macula", "Layered retina with a foveal pit on a smooth, bright pigment epithelium.", "normal", 1),
    Sample(
        "Normal macula, tilted",
        "A healthy retina in a tilted, curved scan with vessel shadows.",
        "normal",
        2,
        ScanOptions(tilt=0.35, bow=0.22),
    ),
    Sample(
        "Normal macula, noisy scanner",
        "A healthy retina in a scan with little averaging and fewer pixels.",
        "normal",
        3,
        ScanOptions(size=(256, 320), noise=1.0),
    ),
    Sample(
        "Neovascularisation with fluid",
        "Detachment of the pigment epithelium, fluid below the retina beside it, a few cysts.",
        "cnv",
        4,
        LESION,
    ),
    Sample(
        "Neovascularisation, large detachment",
        "A high dome of the pigment epithelium with mixed content lifts the retina.",
        "cnv",
        5,
        ScanOptions(detachments=(Dome(3.1, 1.0, 0.34),), cysts=1, noise=0.7),
    ),
    Sample(
        "Neovascularisation, flat and irregular",
        "A low, irregular elevation of the pigment epithelium under a swollen retina with cysts.",
        "cnv",
        6,
        ScanOptions(
            detachments=(Dome(2.4, 0.4, 0.09), Dome(3.1, 0.35, 0.12), Dome(3.7, 0.4, 0.08)),
            swelling=(Dome(3.1, 1.1, 0.12),),
            cysts=6,
        ),
    ),
    Sample(
        "Drusen",
        "Small bumps of the pigment epithelium, no neovascularisation: a disease the model was never shown.",
        "normal",
        7,
        ScanOptions(
            drusen=(
                Dome(1.2, 0.16, 0.045),
                Dome(1.9, 0.2, 0.06),
                Dome(2.6, 0.16, 0.05),
                Dome(3.4, 0.22, 0.07),
                Dome(4.3, 0.18, 0.05),
            )
        ),
    ),
    Sample(
        "Macular oedema",
        "A swollen retina full of cysts, with bright foci and no neovascularisation: never shown to the model.",
        "normal",
        8,
        ScanOptions(swelling=(Dome(3.0, 1.2, 0.24),), cysts=14, foci=8),
    ),
    Sample(
        "Fluid below the retina alone",
        "A dark dome between retina and pigment epithelium, as in central serous disease: never shown to the model.",
        "normal",
        9,
        ScanOptions(fluid=(Dome(3.0, 1.0, 0.22),)),
    ),
    Sample(
        "Volume of 16 frames with neovascularisation",
        "Sixteen B-scans from above to below the fovea; the lesion lies in the middle ones.",
        "cnv",
        10,
        replace(LESION, size=(192, 256)),
        volume=True,
    ),
)


def scan_study(pixels: NDArray[np.uint8]) -> Study:
    """Make a simulated study of an 8-bit B-scan ``(H, W)`` or volume ``(Z, H, W)``, pixels in 0..1."""
    spacing = (DEPTH_MM / pixels.shape[-2], WIDTH_MM / pixels.shape[-1])
    return Study(
        pixels=pixels.astype(np.float32) / np.float32(255),
        modality="OPT",
        sha256=hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest(),
        unit="normalised",
        spacing_mm=spacing if pixels.ndim == 2 else (FRAME_SPACING_MM, *spacing),
        simulated=True,
    )


def _shrunk(domes: tuple[Dome, ...], share: float) -> tuple[Dome, ...]:
    """Return the domes as a frame off their middle shows them; none where little is left."""
    kept = (replace(dome, height=dome.height * share, half_width=dome.half_width * share**0.5) for dome in domes)
    return tuple(dome for dome in kept if dome.height > 0.02)


def frame_options(options: ScanOptions, frame: int, n_frames: int = N_FRAMES) -> ScanOptions:
    """Return what one frame of a volume shows: the disease fades away from frame 7, and so does the pit."""
    off_mm = (frame - 0.45 * n_frames) * FRAME_SPACING_MM
    share = float(np.exp(-((off_mm / 0.65) ** 2)))
    return replace(
        options,
        detachments=_shrunk(options.detachments, share),
        fluid=_shrunk(options.fluid, share),
        swelling=_shrunk(options.swelling, share),
        cysts=round(options.cysts * share),
        foci=round(options.foci * share),
        fovea=options.fovea if abs(off_mm) < 0.6 else None,
    )


def _render(sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    if not sample.volume:
        return render_scan(sample.seed, sample.options)
    frames = [render_scan(1000 * sample.seed + i, frame_options(sample.options, i)) for i in range(N_FRAMES)]
    diseased = [bool(frame_options(sample.options, i).detachments) for i in range(N_FRAMES)]
    masks = [mask & is_diseased for (_, mask), is_diseased in zip(frames, diseased, strict=True)]
    return np.stack([image for image, _ in frames]), np.stack(masks)


def make_case(sample: Sample) -> PhantomCase:
    """Render one sample; the same sample gives the same bytes."""
    pixels, mask = _render(sample)
    return PhantomCase(scan_study(pixels), mask, sample.label, sample.name, sample.description)


@cache
def sample_cases() -> tuple[PhantomCase, ...]:
    """Return the sample cases of the demo; each is rendered when its study is first asked for."""
    return tuple(
        DeferredCase(_renderer(sample), label=sample.label, name=sample.name, description=sample.description)
        for sample in SAMPLES
    )


def _renderer(sample: Sample) -> Callable[[], PhantomCase]:
    return partial(make_case, sample)
