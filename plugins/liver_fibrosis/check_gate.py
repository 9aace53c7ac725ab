"""What the gate refuses: ``python -m plugins.liver_fibrosis.check_gate --data DIR --out gate-figures.json``.

Nothing is fitted here: real images, natural pictures and altered simulated slices are only counted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage import data as pictures

from plugins.liver_fibrosis.data import slice_pixels, slices_of
from plugins.liver_fibrosis.gate import gate
from plugins.liver_fibrosis.make_data import PackOrder
from plugins.liver_fibrosis.rows import PLUGIN_FOLDER
from plugins.liver_fibrosis.sequences import OTHER_SEQUENCES, SHOWN_ON, named_sequence
from plugins.liver_fibrosis.simulator_scanner import SCANNERS
from whycad.audit.bootstrap import wilson_interval
from whycad.datasets.pack import read_pack
from whycad.datasets.pack_study import row_study
from whycad.files import write_whole
from whycad.manifest import Manifest, load_manifest
from whycad.scoring import input_problems
from whycad.types import FloatArray, JsonObject, Study

LIMIT = 1000
N_SIMULATED = 1000
N_ALTERED = 200
MIN_SIDE = 64
PACKS = (
    "skin/ham10000.npz",
    "skin/isic2017.npz",
    "oct/kermany_cnv_normal.npz",
    "oct/kermany_named.npz",
    "oct/duke_dme_fluid.npz",
    "lung/lidc_key_slices.npz",
)
CT_VOLUME = "lung/ct_lidc0001_48slices.npz"
# Lower end and width of the usual CT windows, in HU.
CT_WINDOWS: Mapping[str, tuple[float, float]] = {"lung window": (-1350.0, 1500.0), "soft tissue": (-160.0, 400.0)}
# Pictures that scikit-image brings along; nothing is downloaded.
PICTURES: tuple[str, ...] = (
    *("astronaut", "brick", "camera", "cell", "checkerboard", "chelsea", "clock", "coffee", "coins", "colorwheel"),
    *("grass", "gravel", "horse", "hubble_deep_field", "immunohistochemistry", "microaneurysms", "moon", "page"),
    *("retina", "rocket", "shepp_logan_phantom", "text"),
)
CROPS_PER_PICTURE = 20
ALTERED: Mapping[str, Callable[[FloatArray], FloatArray]] = {
    "mirrored": lambda image: image[:, ::-1],
    "upside down": lambda image: image[::-1],
    "turned by 90 degrees": np.rot90,
    "inverted": lambda image: image.max() - image,
    "cropped to the middle": lambda image: image[40:120, 40:120],
}


def refused(study: Study, manifest: Manifest) -> bool:
    """Whether the shared checks or the task's own gate refuse a study."""
    return bool(input_problems(study, manifest) or gate(study, None))


def picture(pixels: NDArray[np.floating]) -> Study:
    """Return grey pixels ``(H, W)`` in 0..1 as the study that a PNG of them would give."""
    eight_bits = np.rint(np.clip(pixels, 0, 1) * 255) / 255
    return Study(np.ascontiguousarray(eight_bits, np.float32), "OT", "0" * 64)


def grey(study: Study) -> Study:
    """Return the grey version of a colour study; a grey one as it is."""
    return picture(study.pixels @ np.array([0.299, 0.587, 0.114])) if study.is_colour else study


def pack_studies(path: Path, manifest: Manifest) -> Iterator[Study]:
    """Yield studies of up to ``LIMIT`` rows of a pack, drawn with a fixed seed."""
    pack = read_pack(path)
    rows = np.random.default_rng(0).permutation(len(pack))[:LIMIT]
    for row in np.sort(rows):
        yield row_study(pack, int(row), manifest)


def ct_studies(path: Path) -> Iterator[tuple[str, Study]]:
    """Yield every slice of a CT volume: in HU, and as pictures in the usual windows."""
    pack = read_pack(path)
    for hu in np.asarray(pack.image(0), np.float32):
        yield "CT slices in HU", Study(hu, "CT", "0" * 64, unit="HU")
        for name, (low, width) in CT_WINDOWS.items():
            yield f"CT slices as pictures, {name}", picture((hu - low) / width)


def natural_studies() -> Iterator[Study]:
    """Yield natural pictures and textures in grey, whole and cropped."""
    rng = np.random.default_rng(0)
    for name in PICTURES:
        image = np.asarray(getattr(pictures, name)(), np.float64)
        image = image[..., :3] @ np.array([0.299, 0.587, 0.114]) if image.ndim == 3 else image
        image = image / max(float(image.max()), 1e-6)
        yield picture(image)
        for _ in range(CROPS_PER_PICTURE):
            side = int(rng.uniform(0.3, 0.95) * min(image.shape))
            row, column = (int(rng.integers(0, size - side + 1)) for size in image.shape)
            if side >= MIN_SIDE:
                yield picture(image[row : row + side, column : column + side])


def count(studies: Iterator[Study], manifest: Manifest) -> JsonObject:
    """Return how many of some studies are refused, with Wilson's interval."""
    answers = [refused(study, manifest) for study in studies]
    share = float(np.mean(answers))
    return {"n": len(answers), "refused": share, "interval": list(wilson_interval(share, len(answers)))}


def real_figures(folder: Path, manifest: Manifest) -> JsonObject:
    """Count real images below a folder of packs."""
    found: JsonObject = {}
    for name in PACKS:
        path = folder / name
        found[path.stem] = count(pack_studies(path, manifest), manifest)
        if name.startswith("skin"):
            found[f"{path.stem}, in grey"] = count(map(grey, pack_studies(path, manifest)), manifest)
    slices: dict[str, list[Study]] = {}
    for kind, study in ct_studies(folder / CT_VOLUME):
        slices.setdefault(kind, []).append(study)
    return found | {kind: count(iter(studies), manifest) for kind, studies in slices.items()}


def simulated_figures(manifest: Manifest) -> JsonObject:
    """Count simulated slices as they are, which should pass, and altered ones, which should not."""
    found: JsonObject = {}
    for scanner in SCANNERS:
        order = PackOrder(N_SIMULATED, 77, (scanner,))
        found[f"simulated, scanner {scanner}"] = count((picture(slice_pixels(s)) for s in slices_of(order)), manifest)
    images = [slice_pixels(item) for item in slices_of(PackOrder(N_ALTERED, 78, SHOWN_ON))]
    for name, change in ALTERED.items():
        found[f"simulated, {name}"] = count((picture(change(image)) for image in images), manifest)
    for name in OTHER_SEQUENCES:
        studies = (picture(named_sequence(index, name) / 255) for index in range(N_ALTERED))
        found[f"simulated, {name}"] = count(studies, manifest)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="check_gate", description="Count what the gate of liver_fibrosis refuses.")
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="folder of image packs")
    parser.add_argument("--out", required=True, type=Path, metavar="OUT.json")
    args = parser.parse_args(arguments)
    manifest = load_manifest(PLUGIN_FOLDER)
    found = {
        **real_figures(args.data, manifest),
        "natural pictures and textures": count(natural_studies(), manifest),
        **simulated_figures(manifest),
    }
    write_whole(args.out, json.dumps(found, indent=1) + "\n")
    for name, figures in found.items():
        sys.stdout.write(f"{name}: {figures['refused']:.1%} of {figures['n']} refused\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
