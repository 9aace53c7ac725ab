"""Class names of data sets in the codes of a task."""

from __future__ import annotations

import re

from whycad.manifest import Manifest

_NEGATIVE = re.compile(r"\s*-\s*\d")


def label_code(name: str, manifest: Manifest) -> str:
    """Return the task's code for a data set's class name, or an empty string where it has none.

    A name is a code, a key of the manifest's ``audit.label_map``, or a label's own name; case,
    spaces, hyphens and underscores make no difference. A negative number says that the class is
    not known.
    """
    return _codes(manifest).get(_plain(name), "") if name and not _NEGATIVE.match(name) else ""


def _codes(manifest: Manifest) -> dict[str, str]:
    """Map plain names to codes; where two agree, codes win over the map, and the map over names."""
    named = {_plain(label.name): label.code for label in manifest.labels}
    mapped = {_plain(name): code for name, code in manifest.audit.label_map.items()}
    return {**named, **mapped, **{_plain(code): code for code in manifest.label_codes}}


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()
