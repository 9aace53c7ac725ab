"""How much one file may cost."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Bounds on one decoding child.

    Attributes
    ----------
    memory_bytes : int
        Address space beyond what the idle child needs.
    cpu_s, wall_s : float
        Seconds of processor and of clock time.
    max_pixels : int
        Samples (pixels x frames x channels) of the result; four bytes each.
    max_file_bytes : int
        Size of the file as it comes, and of a deflated DICOM file once inflated.
    """

    memory_bytes: int = 2048 * MIB
    cpu_s: float = 20.0
    wall_s: float = 20.0
    max_pixels: int = 150_000_000
    max_file_bytes: int = 256 * MIB
