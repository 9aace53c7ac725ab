"""Pictures of an audit's folder, put into the report itself."""

from __future__ import annotations

import base64
import io
import warnings
from pathlib import Path

from PIL import Image

from whycad.audit.findings import Picture

MAX_SIDE = 420
# Above this many per check a report is no longer read; the folder has them all.
MAX_PICTURES = 24
MAX_PIXELS = 40_000_000
JPEG_QUALITY = 85


def picture_uri(folder: Path, picture: Picture) -> str:
    """Return a picture of the audit's folder as a ``data:`` address, made smaller where it is large.

    Empty where there is none, where it lies outside the folder, or where it is no image: a report
    is written from whatever JSON it is given.
    """
    path = (folder / picture.file).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        return ""
    try:
        with warnings.catch_warnings():
            # Pillow only warns of images with too many pixels; here they are refused.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return _encoded(path)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return ""


def _encoded(path: Path) -> str:
    with Image.open(path, formats=("PNG", "JPEG")) as opened:
        if opened.width * opened.height > MAX_PIXELS:
            return ""
        shown = opened.convert("L" if opened.mode in ("L", "I;16", "1") else "RGB")
    shown.thumbnail((MAX_SIDE, MAX_SIDE))
    buffer = io.BytesIO()
    shown.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
