"""What can be read off a picture without a model: size, light, colour, sharpness, border, hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from whycad import __version__
from whycad.audit.data.dataset import DatasetRef
from whycad.audit.run.chunk_files import failure_text
from whycad.errors import UnreadableError, WhyCadError

if TYPE_CHECKING:
    import pyarrow as pa

    from whycad.audit.data.dataset import AuditDataset
    from whycad.audit.run.engine import Worker

THUMB = 16
DETAIL = 96
BINS = 8
STATS = (
    "height_px",
    "width_px",
    "aspect",
    "file_bytes",
    "mean_red",
    "mean_green",
    "mean_blue",
    "contrast",
    "sharpness",
    "border_light",
    "border_contrast",
    "corner_light",
    "white_share",
    "black_share",
    "colourfulness",
    "white_corner",
)
WHITE, BLACK_BAR = 0.98, 0.04
FACTS_VERSION = 2
# What ``facts_from`` needs; ``detail`` is read by itself, by whoever compares pictures.
COLUMNS = ("error", "content", "stats", "histogram", "thumb")


@dataclass(frozen=True, eq=False)
class ImageFacts:
    """Facts of n rows; NaN, zero or empty where a row could not be read.

    Attributes
    ----------
    error : ndarray of str (n,)
        Empty where the picture could be read.
    content : ndarray of str (n,)
        SHA-256 of the stored image.
    stats : ndarray of float64 (n, len(STATS))
    histogram : ndarray of float64 (n, 24)
        Shares of the pixels in eight equal bins of red, of green and of blue.
    thumb : ndarray of uint8 (n, 16, 16, 3)
        The picture shrunk; grey ones three times.
    """

    error: NDArray[np.str_]
    content: NDArray[np.str_]
    stats: NDArray[np.float64]
    histogram: NDArray[np.float64]
    thumb: NDArray[np.uint8]

    def stat(self, name: str) -> NDArray[np.float64]:
        """Return one of ``STATS``, ``(n,)``."""
        return np.asarray(self.stats[:, STATS.index(name)])


@dataclass(frozen=True)
class FactsJob:
    """Read every picture once and keep its facts."""

    dataset: DatasetRef
    name: str = "facts"

    @property
    def digest(self) -> str:
        """Hash of the version of the facts."""
        return hashlib.sha256(f"{FACTS_VERSION} {__version__}".encode()).hexdigest()

    def content(self, rows: Sequence[int]) -> Sequence[str]:
        """Return the hash of each row's image."""
        from whycad.audit.run.predicting import row_contents

        return row_contents(self.dataset.open(), rows)

    def open(self) -> Worker:
        """Open the data set."""
        dataset = self.dataset.open()

        def work(rows: Sequence[int]) -> pa.Table:
            import pyarrow as pa

            pairs = zip(rows, dataset.pictures(rows), strict=True)
            return pa.Table.from_pylist([_row_facts(dataset, row, picture) for row, picture in pairs])

        return work


def _row_facts(dataset: AuditDataset, row: int, picture: NDArray[np.uint8] | WhyCadError) -> dict[str, object]:
    if isinstance(picture, WhyCadError):
        return _nothing(picture)
    try:
        content, size = dataset.content(row), dataset.file_bytes(row)
    except WhyCadError as error:
        return _nothing(error)
    except OSError:
        return _nothing(UnreadableError("the file cannot be read"))
    return {"error": "", "content": content} | facts_of(picture, size)


def _nothing(error: WhyCadError) -> dict[str, object]:
    numbers = {"stats": [float("nan")] * len(STATS), "histogram": [float("nan")] * 3 * BINS}
    pictures = {"thumb": bytes(THUMB * THUMB * 3), "detail": bytes(DETAIL * DETAIL)}
    return {"error": failure_text(error), "content": "", **numbers, **pictures}


def facts_of(picture: NDArray[np.uint8], file_bytes: int | None) -> dict[str, object]:
    """Measure one picture ``(H, W)`` or ``(H, W, 3)``."""
    from PIL import Image

    colour = np.repeat(picture[..., None], 3, axis=-1) if picture.ndim == 2 else picture
    height, width = colour.shape[:2]
    grey = colour.mean(axis=-1) / 255
    band = max(1, round(0.05 * min(height, width)))
    inside = np.zeros(grey.shape, bool)
    inside[band:-band, band:-band] = True
    border = grey[~inside]
    corners = np.concatenate(
        [grey[a, b].ravel() for a in (np.s_[:band], np.s_[-band:]) for b in (np.s_[:band], np.s_[-band:])]
    )
    means = colour.reshape(-1, 3).mean(axis=0) / 255
    steps = np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean()
    stats = [
        height,
        width,
        width / height,
        float("nan") if file_bytes is None else file_bytes,
        *means,
        grey.std(),
        steps,
        border.mean(),
        border.std(),
        corners.mean(),
        (grey > WHITE).mean(),
        (grey < 0.02).mean(),
        (colour.max(axis=-1).astype(np.float64) - colour.min(axis=-1)).mean() / 255,
        white_corner(grey),
    ]
    whole = Image.fromarray(colour)
    thumb = whole.resize((THUMB, THUMB), Image.Resampling.BOX)
    detail = whole.convert("L").resize((DETAIL, DETAIL), Image.Resampling.BOX)
    return {
        "stats": [float(value) for value in stats],
        "histogram": _histogram(colour),
        "thumb": np.asarray(thumb, np.uint8).tobytes(),
        "detail": np.asarray(detail, np.uint8).tobytes(),
    }


def white_corner(grey: NDArray[np.float64]) -> float:
    """Return the share of white in the whitest corner, an eighth of each side, black bars left out.

    Scanners fill the corners of pictures that they turned with white.
    """
    lit = grey > BLACK_BAR
    rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
    if not len(rows):
        return 0.0
    inside = grey[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] > WHITE
    height, width = (max(1, side // 8) for side in inside.shape)
    sides = [np.s_[:height, :width], np.s_[:height, -width:], np.s_[-height:, :width], np.s_[-height:, -width:]]
    return float(max(inside[side].mean() for side in sides))


def _histogram(colour: NDArray[np.uint8]) -> list[float]:
    """Return the shares of the pixels in equal bins of each channel, ``3 * BINS`` numbers."""
    bins = colour.reshape(-1, 3) // (256 // BINS)
    counts = [np.bincount(bins[:, channel], minlength=BINS) for channel in range(3)]
    return [float(value) for value in np.concatenate(counts) / len(bins)]


def facts_from(table: pa.Table) -> ImageFacts:
    """Return the job's table as arrays."""
    return ImageFacts(
        error=np.array(table["error"].to_pylist(), np.str_),
        content=np.array(table["content"].to_pylist(), np.str_),
        stats=np.array(table["stats"].to_pylist(), np.float64).reshape(-1, len(STATS)),
        histogram=np.array(table["histogram"].to_pylist(), np.float64).reshape(-1, 3 * BINS),
        thumb=np.frombuffer(b"".join(table["thumb"].to_pylist()), np.uint8).reshape(-1, THUMB, THUMB, 3),
    )
