"""Which files make one case: slices of a series one volume, everything else one image each.

Nothing here depends on names or on the order of the files, and nothing is dropped in silence: what
does not fit a volume stays apart, with a remark.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from whycad.errors import CorruptImageError, ImageError
from whycad.imaging.remarks import Remark
from whycad.imaging.stacking import SAME_PLACE_MM, normal_of, same_direction
from whycad.imaging.survey import ImageFacts

SAME_SPACING = 1e-3
# More kinds of images in one series than any scanner makes; also bounds the work done here.
MOST_KINDS = 64
TWO_PATIENTS = "One series holds images of more than one patient, or of a patient who is not always named"


@dataclass(frozen=True)
class Member:
    """One DICOM image as it is grouped.

    Attributes
    ----------
    file : int
        Its number among all files.
    container : int
        Number of the folder or archive that it came in; -1 for none.
    sha256 : str
    facts : ImageFacts
    """

    file: int
    container: int
    sha256: str
    facts: ImageFacts


@dataclass
class Group:
    """Files that make one case.

    Attributes
    ----------
    used : list of Member
        What is read; one makes an image, several a volume.
    others : list of Member
        Copies of those.
    remarks : set of Remark
    error : ImageError or None
        Why these files cannot be read together.
    """

    used: list[Member]
    others: list[Member] = field(default_factory=list)
    remarks: set[Remark] = field(default_factory=set)
    error: ImageError | None = None

    @property
    def files(self) -> tuple[int, ...]:
        """Numbers of all files, ascending."""
        return tuple(sorted(m.file for m in (*self.used, *self.others)))


def group_images(members: Sequence[Member]) -> list[Group]:
    """Group images into cases.

    Parameters
    ----------
    members : sequence of Member

    Returns
    -------
    list of Group
        In the order of each one's first file.
    """
    groups: list[Group] = []
    for series, own in _by(members, lambda m: m.facts.series).items():
        if series and len({m.facts.person for m in own}) > 1:
            groups.append(Group(own, error=CorruptImageError(TWO_PATIENTS, remedy="open each patient's files alone")))
            continue
        slices = [m for m in own if m.facts.is_slice]
        groups += [_single(m) for m in own if not m.facts.is_slice]
        groups += _group_slices(slices) if slices else []
    _mark_same_uid(groups, members)
    return sorted(groups, key=lambda g: g.files)


def _by(members: Iterable[Member], key: Callable[[Member], Hashable]) -> dict[Hashable, list[Member]]:
    parts: dict[Hashable, list[Member]] = defaultdict(list)
    for member in members:
        parts[key(member)].append(member)
    return parts


def _single(member: Member, *remarks: Remark) -> Group:
    return Group([member], remarks={*remarks, *((Remark.LOCALIZER,) if member.facts.localizer else ())})


def _mark_same_uid(groups: Sequence[Group], members: Sequence[Member]) -> None:
    known = {(m.facts.instance, m.sha256) for m in members if m.facts.instance}
    reused = {instance for instance, count in Counter(instance for instance, _ in known).items() if count > 1}
    for group in groups:
        if any(m.facts.instance in reused for m in group.used):
            group.remarks.add(Remark.SAME_UID)


def _group_slices(slices: Sequence[Member]) -> list[Group]:
    """Group the slices of one series and patient."""
    copies = _by(sorted(slices, key=lambda m: (m.sha256, m.file)), lambda m: m.sha256)
    distinct = [same[0] for same in copies.values()]
    if len(distinct) > 1 and any(m.facts.position_mm is None or m.facts.orientation is None for m in distinct):
        return [Group(list(slices), error=_no_places())]
    clusters = _alike(distinct)
    if len(clusters) > MOST_KINDS:
        message = f"The series holds images of more than {MOST_KINDS} different sizes, directions or kinds"
        return [Group(list(slices), error=CorruptImageError(message, remedy="open the images that belong together"))]
    groups = [group for cluster in clusters for group in _by_place(cluster)]
    for group in groups:
        group.others = [m for one in group.used for m in copies[one.sha256][1:]]
        group.remarks |= {Remark.DUPLICATE_SLICE} if group.others else set()
        group.remarks |= {Remark.MIXED_SERIES} if len(clusters) > 1 else set()
    return groups


def _no_places() -> ImageError:
    return CorruptImageError(
        "The slices of the series do not all say where they lie in the patient, so their order is not known",
        remedy="export the series again with image position and orientation, or open single slices of it",
    )


def _alike(slices: Sequence[Member]) -> list[list[Member]]:
    """Split by what a volume has in common; directions and spacings agree within a tolerance."""
    clusters: list[list[Member]] = []
    for part in _by(slices, lambda m: (m.facts.modality, m.facts.rows, m.facts.columns, m.facts.frame)).values():
        found: list[list[Member]] = []
        for member in part:
            if len(found) > MOST_KINDS:
                break
            home = next((cluster for cluster in found if _fits(member.facts, cluster[0].facts)), None)
            if home is None:
                found.append([member])
            else:
                home.append(member)
        clusters += found
    return clusters


def _fits(one: ImageFacts, other: ImageFacts) -> bool:
    if (one.spacing_mm is None) != (other.spacing_mm is None):
        return False
    spacings = zip(one.spacing_mm or (), other.spacing_mm or (), strict=True)
    same = all(abs(a - b) <= SAME_SPACING * max(a, b) for a, b in spacings)
    return same and same_direction(one.orientation or (), other.orientation or ())


def _by_place(slices: list[Member]) -> list[Group]:
    """Make volumes of slices that are alike, at most one slice at each place."""
    places = _places(slices)
    most = max(len(place) for place in places)
    if most == 1:
        return [Group(slices)]
    if len(places) == 1:
        return [_single(m, Remark.CONFLICTING_SLICE) for m in slices]
    parts = _split_by_variant(slices, most)
    if parts:
        return [Group(part, remarks={Remark.MIXED_SERIES}) for part in parts]
    disputed = [place for place in places if len(place) > 1]
    if len(disputed) > len(places) / 2:
        message = f"The series holds several versions of {len(disputed)} of its {len(places)} slices, mixed up"
        return [Group(slices, error=CorruptImageError(message, remedy="open each version alone"))]
    volume = Group([place[0] for place in places], remarks={Remark.CONFLICTING_SLICE})
    apart = [_single(m, Remark.CONFLICTING_SLICE) for place in disputed for m in place[1:]]
    return [volume, *apart]


def _places(slices: Sequence[Member]) -> list[list[Member]]:
    """Slices by where they lie along the normal, each place in the order of the hashes."""
    if len(slices) == 1:
        return [list(slices)]
    normal = normal_of(slices[0].facts.orientation or ())
    far = {m: float(np.dot(m.facts.position_mm or (), normal)) for m in slices}
    places: list[list[Member]] = []
    last = -np.inf
    for member in sorted(slices, key=lambda m: (far[m], m.sha256)):
        if far[member] - last >= SAME_PLACE_MM:
            places.append([])
        last = far[member]
        places[-1].append(member)
    return [sorted(place, key=lambda m: m.sha256) for place in places]


def _split_by_variant(slices: Sequence[Member], most: int) -> list[list[Member]]:
    """Split by the fewest properties that leave one slice at each place; empty where none do."""
    traits = [*range(len(slices[0].facts.variants)), -1]
    most_parts = min(2 * most, MOST_KINDS)
    for count in (1, 2):
        for chosen in combinations(traits, count):
            parts = list(_by(slices, lambda m, c=chosen: tuple(_trait(m, i) for i in c)).values())  # type: ignore[misc]
            if 1 < len(parts) <= most_parts and all(len(p) == 1 for part in parts for p in _places(part)):
                return parts
    return []


def _trait(member: Member, index: int) -> Hashable:
    return member.facts.variants[index] if index >= 0 else member.container
