"""How much one file, one series and one call may cost."""

from __future__ import annotations

from dataclasses import dataclass, replace

MIB = 1 << 20
# A series may cost this much more than one file, per file, up to the caps.
SECONDS_PER_FILE = 0.25
MOST_SECONDS_MORE = 300.0
FILES_PER_DOUBLING = 500
MOST_TIMES_PIXELS = 2.0


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
    max_files : int
        Files in one folder or archive, and in all sources together.
    max_total_bytes : int
        Size of all files together, and of an archive before and after it is unpacked.
    max_studies : int
        Images and volumes in all sources together; each is decoded by a child of its own.
    max_total_pixels : int
        Samples of all results together, which the caller holds in memory.
    """

    memory_bytes: int = 2048 * MIB
    cpu_s: float = 20.0
    wall_s: float = 20.0
    max_pixels: int = 150_000_000
    max_file_bytes: int = 256 * MIB
    max_files: int = 5000
    max_total_bytes: int = 1024 * MIB
    max_studies: int = 500
    max_total_pixels: int = 600_000_000

    def for_files(self, count: int) -> Limits:
        """Return the limits of a child that reads several files.

        Each file adds a quarter of a second, up to five minutes in all, and every 500 files add the
        pixels of one more file, up to twice as many. Memory stays: slices are decoded one by one.

        Parameters
        ----------
        count : int
            How many files it reads.
        """
        more = min(SECONDS_PER_FILE * count, MOST_SECONDS_MORE)
        times = min(1.0 + count / FILES_PER_DOUBLING, MOST_TIMES_PIXELS)
        return replace(
            self, cpu_s=self.cpu_s + more, wall_s=self.wall_s + more, max_pixels=round(times * self.max_pixels)
        )
