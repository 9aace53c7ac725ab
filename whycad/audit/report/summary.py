"""A summary of an audit in Markdown, without pictures and without a case's id: fit to be published."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from whycad.audit import words
from whycad.audit.findings import Audit, CheckResult, Finding
from whycad.audit.report.provenance import Rows, data_rows, metric_rows, model_rows, run_rows, split_words
from whycad.audit.report.sections import not_run
from whycad.wording import printable

MARKED = re.compile(r"([\\`*_{}\[\]<>|#~!&])")


def markdown_summary(audit: Audit, results: Sequence[CheckResult]) -> str:
    """Return the verdict, the headline figures, a part per check, and where it all comes from.

    Counts of failed cases are told, their ids are not: ids may be patients'.
    """
    blocks = [
        f"# Audit: {plain(words.audit_title(audit))}",
        *(f"> {banner}" for banner in words.banners(audit)),
        plain(words.scope_words(audit)) + ".",
        "## Verdict",
        _counts(audit),
        _findings(words.in_verdict_order(audit.findings), with_area=True),
        *_titled("## Headline figures", _facts(metric_rows(audit))),
        *(block for result in results for block in _check(result)),
        *_titled("## Checks that did not run", _not_run(audit)),
        *_failed(audit),
        "## How the split was used",
        plain(split_words(audit)),
        *_titled("## Model", _facts(model_rows(audit))),
        *_titled("## Data", _facts(data_rows(audit))),
        *_titled("## Run", _facts(run_rows(audit))),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def plain(text: str, limit: int = 600) -> str:
    """Return one line in which nothing is Markdown or HTML."""
    return MARKED.sub(r"\\\1", printable(text, limit))


def _titled(title: str, body: str) -> list[str]:
    return [title, body] if body else []


def _counts(audit: Audit) -> str:
    counts = words.verdict_counts(audit.findings)
    return ", ".join(f"{n} {words.VERDICTS[severity]}" for severity, n in counts.items()) + "."


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join([f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}", *lines]) if lines else ""


def _findings(findings: Sequence[Finding], *, with_area: bool) -> str:
    titles = ["", *(["Area"] if with_area else []), "Finding", "Effect (95 % interval)", "n"]
    rows = []
    for finding in findings:
        effect = words.effect_words(finding)
        named = f"{finding.effect_name} {effect}" if effect and finding.effect_name else effect
        area = [plain(words.area(finding.check))] if with_area else []
        n = f"{finding.n:,}" if finding.n else ""
        rows.append([words.VERDICTS[finding.severity], *area, plain(finding.message), plain(named), n])
    return _table(titles, rows)


def _check(result: CheckResult) -> list[str]:
    told = [plain(result.question), _findings(words.in_verdict_order(result.findings), with_area=False)]
    return [f"## {plain(result.title)}", *told, plain(result.method, 2000), plain(result.note, 1000)]


def _facts(rows: Rows) -> str:
    return _table(("", ""), [(plain(name), plain(value)) for name, value in rows])


def _not_run(audit: Audit) -> str:
    return _table(("Check", "Status", "Why"), [tuple(map(plain, row)) for row in not_run(audit)])


def _failed(audit: Audit) -> list[str]:
    n = len(audit.failed)
    images = "image" if n == 1 else "images"
    return [f"{n:,} {images} could not be read or predicted and left out of all figures."] if n else []
