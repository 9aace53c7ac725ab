"""What the phantom tests say of each check, for the reader of an audit."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from whycad.audit.qa.figures import POWER_BAR, Power, QaFigures, Share
from whycad.audit.qa.musts import LEAK_MUSTS

STORED = Path(__file__).resolve().parents[1] / "qa.json"
# Below this many sets a share says little.
LEAST_SETS = 10


def trusted_from(figures: QaFigures, checks: Iterable[str]) -> dict[str, str]:
    """Return a sentence for each check that was tested: what it found, from which strength on, how often it erred."""
    found = {check: _sentence(figures, check) for check in checks}
    return {check: text for check, text in found.items() if text}


@lru_cache(maxsize=4)
def _stored(path: Path, _stamp: int) -> QaFigures | None:
    try:
        return QaFigures.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def stored_figures(path: Path = STORED) -> QaFigures | None:
    """Return the figures that come with this version, or None where there are none."""
    return _stored(path, path.stat().st_mtime_ns) if path.is_file() else None


def trusted(checks: Iterable[str], path: Path = STORED) -> dict[str, str]:
    """Return ``trusted_from`` of the stored figures; empty where there are none."""
    figures = stored_figures(path)
    return {} if figures is None else trusted_from(figures, checks)


def trusted_from_phi(figures: QaFigures, check: str) -> float | None:
    """Return the least strength from which on a check finds at least 95 % of what it must, or None."""
    rows = sorted(_overall(figures, check), key=lambda row: -row.phi)
    least = None
    for row in rows:
        if row.share.n < LEAST_SETS or row.share.value < POWER_BAR:
            break
        least = row.phi
    return least


def _overall(figures: QaFigures, check: str) -> list[Power]:
    return [row for row in figures.power if row.check == check and not row.artefact]


def _sentence(figures: QaFigures, check: str) -> str:
    alarms = figures.alarms.get(check)
    wrong = "" if alarms is None or not alarms.n else f" It warned in {_words(alarms)} without a fault."
    leak = next((kind for kind, must in LEAK_MUSTS.items() if must == check), None)
    if leak is not None and leak in figures.leaks:
        return f"In phantom tests it found the planted leak in {_words(figures.leaks[leak])}.{wrong}"
    rows = _overall(figures, check)
    if not rows:
        return f"In phantom tests it has nothing that it must find.{wrong}" if wrong else ""
    least = trusted_from_phi(figures, check)
    row = next((row for row in rows if row.phi == least), max(rows, key=lambda row: row.phi))
    told = f"it found {_words(row.share)} with a shortcut of phi {row.phi:g} that the network used"
    start = (
        f"Trusted from phi {least:g} on: in phantom tests"
        if least is not None
        else "Not trusted alone: in phantom tests"
    )
    return f"{start} {told}.{wrong}"


def _words(share: Share) -> str:
    return f"{share.value:.0%} of {share.n} simulated sets ({share.low:.0%} to {share.high:.0%})"
