"""What a model card says of the audits of its model: ``audits.json`` in the plugin's folder, and its text.

``whycad card --task T --from AUDIT_DIR`` adds an audit, in place of an earlier one of the same data and
split; the card's ``audit`` block is made from all of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from whycad.card_blocks import begin_mark, table
from whycad.errors import ManifestError
from whycad.files import write_whole

FILE_NAME = "audits.json"
MAX_BYTES = 1024 * 1024
BLOCK = "audit"
SECTION = "## Audit"
BEFORE = "## What is known to be wrong with it"
WORDS = {"critical": "worrying", "warning": "look closer", "unknown": "not established", "ok": "fine"}


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CardFinding(_Section):
    """One finding of an audit."""

    severity: str
    check: str
    message: str


class CardAudit(_Section):
    """What the card keeps of one audit; ``findings`` are those that are not fine."""

    run: str
    dataset: str
    split: str
    created_utc: str
    command: str
    weights_sha256: str
    n: int
    split_uses: int = 0
    simulated: bool = False
    counts: dict[str, int] = Field(default_factory=dict)
    findings: tuple[CardFinding, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """Data and split."""
        return self.dataset, self.split


class CardAudits(_Section):
    """A whole ``audits.json``."""

    audits: tuple[CardAudit, ...] = ()


def read_audits(folder: Path) -> CardAudits:
    """Read a plugin's ``audits.json``; empty where there is none.

    Raises
    ------
    ManifestError
        When it is broken.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return CardAudits()
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ManifestError(f"{path.name!r} is larger than {MAX_BYTES} bytes")
        return CardAudits.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise ManifestError(
            f"{path.name!r} cannot be read ({type(error).__name__})", remedy="renew it with `whycad card --from`"
        ) from error


def add_audit(folder: Path, audit: CardAudit) -> None:
    """Keep an audit, in place of an earlier one of the same data and split.

    Raises
    ------
    ManifestError, StoreError
        When ``audits.json`` is broken, or cannot be written.
    """
    others = [one for one in read_audits(folder).audits if one.key != audit.key]
    kept = CardAudits(audits=tuple(sorted([*others, audit], key=lambda one: one.key)))
    write_whole(folder / FILE_NAME, kept.model_dump_json(indent=1) + "\n")


def audit_block(audits: Sequence[CardAudit], weights_sha256: str) -> str:
    """Return the text of the card's block.

    Parameters
    ----------
    audits : sequence of CardAudit
    weights_sha256 : str
        Of the model as it is; an audit of other weights is marked.
    """
    if not audits:
        return "No audit is stored yet."
    return "\n\n".join(_audit_text(audit, weights_sha256) for audit in audits)


def _audit_text(audit: CardAudit, weights_sha256: str) -> str:
    split = f", split `{audit.split}`" if audit.split else ""
    counts = ", ".join(f"{audit.counts.get(key, 0)} {word}" for key, word in WORDS.items())
    times = "once" if audit.split_uses == 1 else f"{audit.split_uses} times"
    uses = f" This split had been used {times}, this audit included." if audit.split_uses else ""
    simulated = " The cases are simulated." if audit.simulated else ""
    parts = [
        f"### Audit of {_plain(audit.dataset)}{split}: {counts}",
        f"Run `{_plain(audit.run)}` of {audit.created_utc[:10]}, {audit.n:,} images, made by "
        f"`{_plain(audit.command)}`.{uses}{simulated}",
    ]
    if audit.weights_sha256 != weights_sha256:
        parts.append("**These findings are of other weights than the ones in this folder.**")
    rows = [[WORDS.get(one.severity, "?"), one.check.replace("_", " "), _plain(one.message)] for one in audit.findings]
    if rows:
        parts.append(table(["Verdict", "Check", "Finding"], rows))
    return "\n\n".join(parts)


def _plain(text: str) -> str:
    """Return text that cannot act as Markdown or HTML in a table's cell."""
    flat = re.sub(r"\s+", " ", text).strip()
    return re.sub(r"[|`<>\[\]]", lambda match: {"<": "&lt;", ">": "&gt;"}.get(match[0], ""), flat)


def with_audit_section(card: str) -> str:
    """Return a card with a place for the audit block; as it is where it has one."""
    if begin_mark(BLOCK) in card:
        return card
    section = (
        f"{SECTION}\n\nMade by `whycad audit`; see the audit's own report for figures, plots and images.\n\n"
        f"{begin_mark(BLOCK)}\n\n<!-- end of {BLOCK} -->\n"
    )
    if f"\n{BEFORE}" in card:
        return card.replace(f"\n{BEFORE}", f"\n{section}\n{BEFORE}", 1)
    return f"{card.rstrip()}\n\n{section}"
