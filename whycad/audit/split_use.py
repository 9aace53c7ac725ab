"""Record that an audit used a split, once per run, and say how often it was used before."""

from __future__ import annotations

from dataclasses import dataclass

from whycad.audit.context import AuditContext
from whycad.audit.ledger import Entry, Ledger, Use, ledger_path, read_ledger, record_use
from whycad.errors import StoreError
from whycad.files import write_whole

# In the audit's folder: the hash of its own line, so that a run that goes on is not counted twice.
OWN_ENTRY = "ledger_entry.json"


@dataclass(frozen=True)
class SplitUse:
    """What the ledger says of the audited split.

    Attributes
    ----------
    ledger : Ledger
        With this run's line.
    uses : tuple of Entry
        Of this split of these data, by whatever model; this run's is the last.
    own : Entry or None
        This run's line; None where it could not be recorded.
    why : str
        Why it could not.
    """

    ledger: Ledger
    uses: tuple[Entry, ...]
    own: Entry | None
    why: str = ""


def is_counted(context: AuditContext) -> bool:
    """Tell whether an audit uses up a split: a model was judged by labels of a named split."""
    return context.plugin is not None and bool(context.split) and bool(context.answers.judged.any())


def split_use(context: AuditContext) -> SplitUse:
    """Record this run's use of its split, the first time it is asked, and return all uses."""
    found = context.once("ledger", lambda: _recorded(context))
    assert isinstance(found, SplitUse)
    return found


def _recorded(context: AuditContext) -> SplitUse:
    path, why, own = ledger_path(), "", None
    use = _use_of(context)
    try:
        own = _earlier_line(context, use, read_ledger(path))
        if own is None:
            own = record_use(use, path)
            write_whole(context.out / OWN_ENTRY, own.model_dump_json(indent=1) + "\n")
        ledger = read_ledger(path)
    except StoreError as error:
        ledger, why = Ledger(()), str(error)
    return SplitUse(ledger, ledger.of_split(use.data_sha256, use.split), own, why)


def _use_of(context: AuditContext) -> Use:
    plugin = context.plugin
    assert plugin is not None
    return Use(
        task=plugin.id,
        version=plugin.manifest.version,
        weights_sha256=plugin.weights_sha256,
        dataset=context.cases.name,
        data_sha256=context.dataset.sha256,
        split=context.split,
        n=int(context.answers.judged.sum()),
        purpose=context.options.purpose,
        command=context.command,
    )


def _earlier_line(context: AuditContext, use: Use, ledger: Ledger) -> Entry | None:
    """Return the line that this run wrote before it was stopped, if it is of the same use."""
    try:
        stored = Entry.model_validate_json((context.out / OWN_ENTRY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    same = all(getattr(stored, name) == getattr(use, name) for name in Use.model_fields if name != "command")
    return next((entry for entry in ledger.entries if same and entry.hash == stored.hash), None)
