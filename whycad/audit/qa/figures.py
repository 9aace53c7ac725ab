"""From the results of phantom tests to power and false alarms, each with its exact interval."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from pydantic import BaseModel, ConfigDict

from whycad.audit.qa.musts import ALARM_CHECKS
from whycad.audit.qa.one_set import SetResult

SCHEMA_VERSION = 1
LEVEL = 0.95
# What the audit is held to.
POWER_BAR, ALARM_BAR = 0.95, 0.05
STRONG = 0.5


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Share(_Part):
    """How many of n, with the exact 95 % interval of the share."""

    hits: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The share; NaN where n is 0."""
        return self.hits / self.n if self.n else float("nan")


class Power(_Part):
    """How often a check saw what it must see.

    ``artefact`` is empty where it stands for all of them; only sets whose network uses the artefact count.
    """

    check: str
    artefact: str
    phi: float
    share: Share


class Used(_Part):
    """In how many sets of a strength the network came to use what was planted."""

    phi: float
    share: Share


class QaFigures(_Part):
    """What the phantom tests say of the audit: ``qa.json``.

    ``together`` counts sets in which every check that must see the artefact did, ``any`` those in
    which at least one did; ``family`` counts sets without a fault in which any check warned.
    """

    schema_version: int = SCHEMA_VERSION
    code_version: str
    created_utc: str
    command: str
    n_sets: int
    n_failed: int
    failures: tuple[str, ...]
    seconds_per_set: float
    used: tuple[Used, ...]
    power: tuple[Power, ...]
    together: tuple[Power, ...]
    any: tuple[Power, ...]
    alarms: dict[str, Share]
    family: Share
    leaks: dict[str, Share]


def share_of(flags: Iterable[bool]) -> Share:
    """Return a share with the interval of Clopper and Pearson.

    References
    ----------
    Clopper and Pearson 1934, doi:10.1093/biomet/26.4.404
    """
    from scipy.stats import beta

    known = list(flags)
    hits, n, tail = sum(known), len(known), (1 - LEVEL) / 2
    low = float(beta.ppf(tail, hits, n - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, n - hits)) if hits < n else 1.0
    return Share(hits=hits, n=n, low=low, high=high)


def figures_of(
    results: Sequence[SetResult], *, command: str = "", code_version: str = "", created_utc: str = ""
) -> QaFigures:
    """Summarise results.

    Parameters
    ----------
    results : sequence of SetResult
    command, code_version, created_utc : str
        For the record.
    """
    sound = [result for result in results if not result.failed]
    planted = [result for result in sound if result.phi > 0]
    used = [result for result in planted if result.uses_shortcut]
    nulls = [result for result in sound if result.is_null]
    return QaFigures(
        code_version=code_version,
        created_utc=created_utc,
        command=command,
        n_sets=len(results),
        n_failed=len(results) - len(sound),
        failures=tuple(f"{result.id}: {result.failed}" for result in results if result.failed),
        seconds_per_set=sum(result.seconds for result in sound) / max(1, len(sound)),
        used=tuple(
            Used(phi=phi, share=share_of(r.uses_shortcut for r in planted if r.phi == phi)) for phi in _phis(planted)
        ),
        power=tuple(_power(used)),
        together=tuple(_per_artefact(used, all)),
        any=tuple(_per_artefact(used, any)),
        alarms={check: share_of(_warned(result, check) for result in nulls) for check in ALARM_CHECKS},
        family=share_of(any(_warned(result, check) for check in ALARM_CHECKS) for result in nulls),
        leaks=_leaks(sound),
    )


def _phis(results: Sequence[SetResult]) -> list[float]:
    return sorted({result.phi for result in results})


def _power(used: Sequence[SetResult]) -> Iterable[Power]:
    for check in ALARM_CHECKS:
        for phi in _phis(used):
            must = [result for result in used if result.phi == phi and check in result.seen]
            for artefact in ("", *sorted({result.artefact for result in must})):
                counted = [result.seen[check] for result in must if artefact in ("", result.artefact)]
                if counted:
                    yield Power(check=check, artefact=artefact, phi=phi, share=share_of(counted))


def _per_artefact(used: Sequence[SetResult], rule: Callable[[Iterable[bool]], bool]) -> Iterable[Power]:
    for phi in _phis(used):
        these = [result for result in used if result.phi == phi and result.seen]
        for artefact in ("", *sorted({result.artefact for result in these})):
            counted = [rule(result.seen.values()) for result in these if artefact in ("", result.artefact)]
            yield Power(check="", artefact=artefact, phi=phi, share=share_of(counted))


def _leaks(sound: Sequence[SetResult]) -> dict[str, Share]:
    kinds = sorted({result.leak for result in sound if result.leak})
    return {kind: share_of(all(r.seen.values()) for r in sound if r.leak == kind) for kind in kinds}


def _warned(result: SetResult, check: str) -> bool:
    return any(alarm.check == check and result.is_false(alarm) for alarm in result.alarms)
