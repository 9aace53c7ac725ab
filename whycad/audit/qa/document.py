"""``docs/qa.md``: what the phantom tests say of the audit, as a page."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

from whycad.audit.qa.figures import ALARM_BAR, POWER_BAR, STRONG, Power, QaFigures, Share
from whycad.audit.qa.musts import ALARM_CHECKS, LEAK_MUSTS, LEAST_CELL, MUSTS
from whycad.audit.qa.one_set import LEAST_FALL, LEAST_RESPONSE
from whycad.audit.qa.plan import ARTEFACTS
from whycad.audit.qa.trusted import LEAST_SETS, trusted_from, trusted_from_phi

WIDTH = 120
HEAD = f"""# Does the audit find what it must?

Written by `whycad qa --document`; do not edit. All images here are **simulated**: this page is a test of the audit, as
a phantom is one of a scanner, and says nothing of patients.

Each set has about 1,100 images of 540 simulated patients. A genuine sign (the direction of streaks in a lesion)
follows the label in four images of five, and leaves size, brightness and colour alone. One artefact is planted
in half of the images, with a known phi coefficient between it and the label; two others are there by chance, as
are age, sex and site. Two small networks of a few thousand parameters are trained on one part of each set,
calibrated on another, and the set is audited by the code that users run, with fewer bootstrap draws (300) and
changed images (100). Most thresholds of the checks were set on sets with other seeds; the last ones (how sure each
check must be, that a leak of trivial features lies above chance, and what makes a warning of a scanner right) were set
after sets of this run, or of the same seeds, had been looked at, so the false alarms are somewhat flattered.

A network counts as **using** the shortcut where its AUC on new images in which artefact and label disagree is
at least {LEAST_FALL:g} below that on all new images. Power is the share of these sets in which a check that
must see the artefact warned of it by its name (of the background, or of trivial features, where the check knows
no names). A false alarm is any warning of these checks in a set without a shortcut and without a leak,
unless it is demonstrably true: a network of a few hundred images comes by chance to respond to an artefact,
and a warning that names one with which new images of the same label have a probability that is higher or lower by
{LEAST_RESPONSE:g}, or into which it is put changes it by as much, in the direction that the warning says, is right; so
is a warning of a subgroup where new images with the artefact are ranked better or worse by {LEAST_FALL:g}.
Intervals are exact, 95 % (Clopper and Pearson, doi:10.1093/biomet/26.4.404).
"""


def qa_page(figures: QaFigures) -> str:
    """Return the page."""
    parts = [HEAD, _facts(figures), _bars(figures), _power_by_check(figures), _power_by_artefact(figures)]
    parts += [_alarms(figures), _leaks(figures), _musts(), _trust(figures)]
    return "\n".join(part for part in parts if part)


def unmet(figures: QaFigures) -> list[str]:
    """Return which bars are not kept, in words; empty where all are."""
    found = [
        f"{row.check} found {_words(row.share)} with phi {row.phi:g}"
        for row in figures.power
        if not row.artefact and row.phi >= STRONG and row.share.value < POWER_BAR
    ]
    if figures.family.n and figures.family.value > ALARM_BAR:
        found.append(f"some check warned in {_words(figures.family)} without a fault")
    found += [
        f"{LEAK_MUSTS[kind]} found {_words(share)}" for kind, share in figures.leaks.items() if share.value < POWER_BAR
    ]
    return found


def _facts(figures: QaFigures) -> str:
    used = "; ".join(f"phi {item.phi:g}: {item.share.hits} of {item.share.n}" for item in figures.used)
    lines = [
        f"- run `{figures.command}` of version {figures.code_version}, {figures.created_utc[:10]}",
        f"- {figures.n_sets} sets, {figures.seconds_per_set:.0f} s each on one core; {figures.n_failed} failed",
        *(f"  - {failure}" for failure in figures.failures),
        f"- networks that used the shortcut: {used or 'none'}",
    ]
    return "\n".join([*lines, ""])


def _bars(figures: QaFigures) -> str:
    missed = unmet(figures)
    words = (
        f"Shortcuts of phi {STRONG:g} or more found in at least {POWER_BAR:.0%} of sets by each check that must see "
        f"them; some false alarm in at most {ALARM_BAR:.0%} of sets without a fault; every leak found."
    )
    lines = [*(f"- not kept: {line}" for line in missed), "", "As counted:"] if missed else ["All are kept as counted:"]
    counts = [f"- {what}: {_words(share)}" for what, share, _proven in _behind_bars(figures)]
    parts = ["## Bars", "", fill(words, WIDTH), "", *lines, "", *counts, "", _proof(figures), ""]
    return "\n".join([*parts, *_trusted_alone(figures), ""])


def _behind_bars(figures: QaFigures) -> list[tuple[str, Share, bool]]:
    """Return what each bar rests on: what was counted, the share, and whether its interval lies within the bar."""
    rows = [row for row in figures.power if not row.artefact and row.phi >= STRONG]
    strong = {check: _pooled([row for row in rows if row.check == check]) for check in ALARM_CHECKS}
    found = {f"`{check}` found the shortcut in": share for check, share in strong.items() if share is not None}
    found |= {f"`{LEAK_MUSTS[kind]}` found the leak in": share for kind, share in figures.leaks.items()}
    counts = [(what, share, share.low >= POWER_BAR) for what, share in found.items()]
    if figures.family.n:
        alarm = ("some check warned, without a fault, in", figures.family, figures.family.high <= ALARM_BAR)
        counts.insert(len(found) - len(figures.leaks), alarm)
    return counts


def _proof(figures: QaFigures) -> str:
    """Say whether the bars hold by the intervals, and not only by the counts."""
    proven = [one for _what, _share, one in _behind_bars(figures)]
    if proven and all(proven):
        return "By the intervals, too, the bars are kept."
    which = f"only {sum(proven)} of these {len(proven)}" if any(proven) else "none of these"
    return fill(
        f"By the intervals the bars are not proven: {which} has an interval within its bar (at least {POWER_BAR:.0%} "
        f"found, at most {ALARM_BAR:.0%} with a false alarm). That would take more sets.",
        WIDTH,
    )


def _trusted_alone(figures: QaFigures) -> list[str]:
    """Name the checks that are trusted alone, and those that are not."""
    tested = {row.check for row in figures.power} | {LEAK_MUSTS[kind] for kind in figures.leaks}
    alone = [check for check in ALARM_CHECKS if trusted_from_phi(figures, check) is not None]
    kinds = {
        "Trusted alone": alone,
        f"Not trusted alone (less than {POWER_BAR:.0%} found, or fewer than {LEAST_SETS} sets)": [
            check for check in ALARM_CHECKS if check in tested and check not in alone
        ],
        "With nothing planted that they must find": [check for check in ALARM_CHECKS if check not in tested],
    }
    return [
        fill(f"- {title}: {', '.join(f'`{name}`' for name in names) or 'none'}", WIDTH, subsequent_indent="  ")
        for title, names in kinds.items()
    ]


def _power_by_check(figures: QaFigures) -> str:
    rows = [row for row in figures.power if not row.artefact]
    phis = sorted({row.phi for row in rows})
    lines = [_row("check", *(f"phi {phi:g}" for phi in phis)), _rule(1 + len(phis))]
    for check in ALARM_CHECKS:
        mine = {row.phi: row.share for row in rows if row.check == check}
        if mine:
            lines.append(_row(f"`{check}`", *(_cell(mine.get(phi)) for phi in phis)))
    for title, kind in (("every check that must", figures.together), ("at least one of them", figures.any)):
        mine = {row.phi: row.share for row in kind if not row.artefact}
        lines.append(_row(f"**{title}**", *(_cell(mine.get(phi)) for phi in phis)))
    return "\n".join(["## Power by check\n", *lines, ""])


def _power_by_artefact(figures: QaFigures) -> str:
    rows = [row for row in figures.power if row.artefact and row.phi >= STRONG]
    checks = [check for check in ALARM_CHECKS if any(row.check == check for row in rows)]
    lines = [_row("artefact", *(f"`{check}`" for check in checks)), _rule(1 + len(checks))]
    for artefact in dict.fromkeys(name for names in ARTEFACTS.values() for name in names):
        cells = [_cell(_pooled([r for r in rows if r.artefact == artefact and r.check == check])) for check in checks]
        lines.append(_row(artefact.replace("_", " "), *cells))
    return "\n".join([f"## Power by artefact, phi {STRONG:g} and more together\n", *lines, ""])


def _pooled(rows: Sequence[Power]) -> Share | None:
    from whycad.audit.qa.figures import share_of

    hits, n = sum(row.share.hits for row in rows), sum(row.share.n for row in rows)
    return share_of([True] * hits + [False] * (n - hits)) if n else None


def _alarms(figures: QaFigures) -> str:
    lines = [_row("check", "sets with a false alarm"), _rule(2)]
    lines += [_row(f"`{check}`", _cell(share)) for check, share in figures.alarms.items()]
    lines.append(_row("**any of them**", _cell(figures.family)))
    return "\n".join([f"## False alarms in {figures.family.n} sets without a fault\n", *lines, ""])


def _leaks(figures: QaFigures) -> str:
    words = {
        "duplicates": "16 training images again in val, under other patients, half of them a little brighter",
        "patients": "splits cut by image, not by patient",
        "source": "the label follows the site",
        "subject": "14 subjects give all images, each of one label",
    }
    lines = [_row("leak", "must be found by", "found"), _rule(3)]
    lines += [_row(words[kind], f"`{LEAK_MUSTS[kind]}`", _cell(share)) for kind, share in figures.leaks.items()]
    return "\n".join(["## Leaks\n", *lines, ""]) if figures.leaks else ""


def _musts() -> str:
    tasks = {name: [task for task, names in ARTEFACTS.items() if name in names] for name in MUSTS}
    lines = [_row("artefact", "images", "checks that must see it"), _rule(3)]
    for name, musts in MUSTS.items():
        lines.append(_row(name.replace("_", " "), ", ".join(tasks[name]), ", ".join(f"`{check}`" for check in musts)))
    note = f"`matched_performance` must only where each label has {LEAST_CELL} audited images with it and without."
    return "\n".join(["## Which check must see which artefact\n", *lines, "", note, ""])


def _trust(figures: QaFigures) -> str:
    told = trusted_from(figures, ALARM_CHECKS)
    lines = [f"- `{check}`: {text}" for check, text in told.items()]
    note = "A check is trusted from the least strength on from which "
    note += f"it found {POWER_BAR:.0%} in at least {LEAST_SETS} sets."
    return "\n".join(["## What the report says of each check", "", fill(note, WIDTH), "", *lines, ""])


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _rule(n: int) -> str:
    return "|" + "---|" * n


def _cell(share: Share | None) -> str:
    if share is None or not share.n:
        return "-"
    return f"{share.hits}/{share.n} ({share.low:.0%} to {share.high:.0%})"


def _words(share: Share) -> str:
    return f"{share.hits} of {share.n} sets ({share.low:.0%} to {share.high:.0%})"
