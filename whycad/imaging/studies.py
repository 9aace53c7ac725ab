"""Files, folders and archives to Studies: slices of one series become one volume."""

from __future__ import annotations

import hashlib
import itertools
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from whycad.errors import CorruptImageError, DatasetError, ImageError, ImageTooLargeError, WhyCadError
from whycad.imaging.child import Ending
from whycad.imaging.grouping import Group, Member, group_images
from whycad.imaging.handover import FINDINGS
from whycad.imaging.intake import ALONE, File, Intake, Problem
from whycad.imaging.keys import load_key
from whycad.imaging.limits import Limits
from whycad.imaging.reader import decode_request, limit_error, run_request
from whycad.imaging.sniff import FileKind
from whycad.imaging.survey import HOSTILE_DIRECTORY, Finding, finding_from_json
from whycad.imaging.worker import Job, Request
from whycad.types import Study

MAX_RESTARTS = 3
MAX_FINDING = 1 << 13


@dataclass(frozen=True, eq=False)
class StudyItem:
    """One image or volume that came out of the sources, or why none did.

    Attributes
    ----------
    sources : tuple of int
        Indices of the sources that it comes from, ascending.
    study : Study or None
    error : WhyCadError or None
        Exactly one of ``study`` and ``error`` is None.
    """

    sources: tuple[int, ...]
    study: Study | None
    error: WhyCadError | None = None


def read_studies(sources: Sequence[bytes | Path], *, limits: Limits | None = None) -> tuple[StudyItem, ...]:
    """Read files, folders and ZIP archives; slices of one series become one volume.

    Every file is unpacked, looked at and decoded in child processes within limits of memory and time;
    one that makes its child hang or die costs an error for that file, and the others go on. Contents
    decide, never names, and the order of the files does not matter.

    CT, MR and PET slices of one series and patient become one ``(Z, H, W)`` study, sorted along the
    normal of the slices. Its ``sha256`` is that of the sorted hashes of its slices. Slices of another
    size, direction, spacing, echo, phase or reconstruction make a volume of their own; overview images
    and single slices stay ``(H, W)``. Gaps and uneven distances are interpolated, so that slice k lies at
    ``k * dz`` from the first, and said to be. A series is refused where slices lean (gantry tilt), lack
    their place, name two patients, or exist in several versions mixed up. Everything else is one study
    per file.

    Parameters
    ----------
    sources : sequence of bytes or Path
        Contents of a file or archive, or the path of a file, archive or folder. Links in a folder are not
        followed; archives in an archive or folder are not opened.
    limits : Limits or None
        For one file; ``Limits.for_files`` scales them for series and archives.

    Returns
    -------
    tuple of StudyItem
        In the order of the sources; at least one for each source. Equal errors of one folder or archive
        are one item. Errors are ``ImageError``.

    Raises
    ------
    StoreError
        If the key that protects patient ids cannot be had.
    """
    with tempfile.TemporaryDirectory(prefix="whycad-", ignore_cleanup_errors=True) as place:
        return _Reading(Path(place), load_key(), limits or Limits()).read(sources)


def read_one(source: Path, *, limits: Limits | None = None) -> Study:
    """Read the one image or volume that a folder, file or archive holds.

    Headers alone tell how many there are: where there are several, none is decoded.

    Raises
    ------
    DatasetError
        When there are several.
    ImageError
        As the error of a ``StudyItem``.
    StoreError
        If the key that protects patient ids cannot be had.
    """
    with tempfile.TemporaryDirectory(prefix="whycad-", ignore_cleanup_errors=True) as place:
        return _Reading(Path(place), load_key(), limits or Limits()).read_one(source)


def several(count: int) -> DatasetError:
    """Return the error for a folder that holds more than the one image or volume that it stands for."""
    return DatasetError(f"a folder that stands for one image holds {count}", remedy="name one series per row")


class _Reading:
    """One call of ``read_studies`` or ``read_one``."""

    def __init__(self, folder: Path, key: bytes, limits: Limits) -> None:
        self.folder = folder
        self.key = key
        self.limits = limits
        self._places = (folder / f"out-{number}" for number in itertools.count())
        taken = folder / "in"
        taken.mkdir(mode=0o700)
        self.intake = Intake(taken, key, limits)
        self._pixels = 0

    def read(self, sources: Sequence[bytes | Path]) -> tuple[StudyItem, ...]:
        for index, source in enumerate(sources):
            self.intake.add(index, source)
        groups, problems = self._group()
        most = self.limits.max_studies
        items = [*_merged(problems), *(self._item(group) for group in groups[:most])]
        items += [StudyItem(sources, None, _too_many(most)) for sources in {self._sources(g) for g in groups[most:]}]
        return tuple(sorted([*items, *_silent(len(sources), items)], key=lambda item: item.sources))

    def read_one(self, source: Path) -> Study:
        self.intake.add(0, source)
        groups, problems = self._group()
        if len(groups) > 1:
            raise several(len(groups))
        if groups:
            return self._study(groups[0])
        items = _merged(problems)
        raise (items[0].error if items else None) or _no_images()

    def _group(self) -> tuple[list[Group | File], list[Problem]]:
        """Tell what belongs together; the files of a hostile folder are left out."""
        files, problems = self.intake.files, list(self.intake.problems)
        wanted = _to_survey(files)
        findings = dict(zip(wanted, self._survey([files[i].path for i in wanted]), strict=True))
        hostile = {files[i].container for i, found in findings.items() if _is_hostile(found)}
        members = []
        for i, found in findings.items():
            file = files[i]
            if found.error is not None and (file.container not in hostile or _is_hostile(found)):
                problems.append(Problem(file.source, file.container, found.error))
            elif found.image is not None and file.container not in hostile:
                members.append(Member(i, file.container, file.sha256, found.image))
        problems = [p for p in problems if p.container not in hostile or p.error.message == HOSTILE_DIRECTORY]
        plain = [f for i, f in enumerate(files) if i not in findings and f.container not in hostile]
        return [*group_images(members), *plain], problems

    def _survey(self, paths: Sequence[Path]) -> list[Finding]:
        """Look at DICOM files in a child; one that it dies of is an error, and another child goes on."""
        found: list[Finding] = []
        for _ in range(MAX_RESTARTS + 1):
            if len(found) == len(paths):
                break
            rest = tuple(paths[len(found) :])
            with self._place() as place:
                limits = self.limits.for_files(len(rest))
                ending = run_request(Request(place, self.key, limits, Job.SURVEY, rest))
                found += _read_findings(place / FINDINGS, len(rest))
            if len(found) < len(paths):
                found.append(Finding(error=limit_error(ending, limits)))
        return found + [Finding(error=limit_error(Ending.DIED, self.limits))] * (len(paths) - len(found))

    @contextmanager
    def _place(self) -> Iterator[Path]:
        place = next(self._places)
        place.mkdir(mode=0o700)
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _sources(self, group: Group | File) -> tuple[int, ...]:
        if isinstance(group, File):
            return (group.source,)
        return tuple(sorted({self.intake.files[i].source for i in group.files}))

    def _item(self, group: Group | File) -> StudyItem:
        try:
            return StudyItem(self._sources(group), self._study(group))
        except ImageError as error:
            return StudyItem(self._sources(group), None, error)

    def _study(self, group: Group | File) -> Study:
        if isinstance(group, File):
            return self._decode([group])
        if group.error is not None:
            raise group.error
        study = self._decode([self.intake.files[m.file] for m in group.used])
        return replace(study, warnings=tuple(sorted({*study.warnings, *map(str, group.remarks)})))

    def _decode(self, files: Sequence[File]) -> Study:
        """Decode one study, within what the studies before it have left of the limits."""
        single = len(files) == 1
        limits = self.limits if single else self.limits.for_files(len(files))
        limits = replace(limits, max_pixels=min(limits.max_pixels, self.limits.max_total_pixels - self._pixels))
        if limits.max_pixels <= 0:
            raise _too_large(self.limits)
        sha256 = files[0].sha256 if single else series_sha256(file.sha256 for file in files)
        job, paths = (Job.STUDY if single else Job.SERIES), tuple(file.path for file in files)
        with self._place() as place:
            study = decode_request(Request(place, self.key, limits, job, paths), sha256)
        self._pixels += study.pixels.size
        return study


def _too_large(limits: Limits) -> ImageError:
    return ImageTooLargeError(
        f"The images together hold more than the limit of {limits.max_total_pixels:,} values",
        remedy="open fewer at a time",
    )


def _too_many(most: int) -> ImageError:
    return ImageTooLargeError(
        f"There are more than the limit of {most} images and volumes; the others were not read",
        remedy="open fewer at a time",
    )


def series_sha256(hashes: Iterable[str]) -> str:
    """Return the SHA-256 of a series: that of its files' sorted hexadecimal hashes, one a line."""
    return hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest()


def _to_survey(files: Sequence[File]) -> list[int]:
    """Return which files may belong together, or be a DICOMDIR; a lone DICOM file needs no survey."""
    dicom = [i for i, file in enumerate(files) if file.kind is FileKind.DICOM]
    return dicom if len(dicom) > 1 or any(files[i].container != ALONE for i in dicom) else []


def _is_hostile(found: Finding) -> bool:
    return found.error is not None and found.error.message == HOSTILE_DIRECTORY


def _read_findings(path: Path, most: int) -> list[Finding]:
    """Read and check the lines that a survey left, up to one that is none."""
    if not path.exists():
        return []
    found: list[Finding] = []
    with path.open("rb") as lines, suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
        while len(found) < most and (line := lines.readline(MAX_FINDING)):
            found.append(finding_from_json(line.decode("utf-8")))
    return found


def _merged(problems: Sequence[Problem]) -> list[StudyItem]:
    """Make one item of equal errors of one folder or archive, which says how many they are."""
    counts: dict[tuple[object, ...], list[Problem]] = {}
    for number, problem in enumerate(problems):
        alone = number if problem.container == ALONE else ALONE
        key = (problem.source, type(problem.error), problem.error.message, problem.error.remedy, alone)
        counts.setdefault(key, []).append(problem)
    return [StudyItem((same[0].source,), None, _counted(same[0].error, len(same))) for same in counts.values()]


def _counted(error: ImageError, count: int) -> ImageError:
    return type(error)(f"{count} files: {error.message}", remedy=error.remedy) if count > 1 else error


def _silent(count: int, items: Sequence[StudyItem]) -> list[StudyItem]:
    """Return an error for each source that gave nothing, such as a folder of read-mes."""
    heard = {source for item in items for source in item.sources}
    return [StudyItem((index,), None, _no_images()) for index in range(count) if index not in heard]


def _no_images() -> ImageError:
    return CorruptImageError("There are no images in it", remedy="check that it holds DICOM, PNG or JPEG files")
