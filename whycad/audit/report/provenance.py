"""Where an audit's numbers come from: the model, the data, the run, and how often the split was used."""

from __future__ import annotations

from collections.abc import Mapping

from whycad.audit.findings import Audit
from whycad.audit.words import interval_words
from whycad.wording import NOT_ESTABLISHED, printable

Rows = list[tuple[str, str]]
ACRONYMS = {"auroc": "AUROC", "auprc": "AUPRC", "mcc": "MCC", "ece": "ECE", "auc": "AUC"}
MAX_METRICS = 30


def model_rows(audit: Audit) -> Rows:
    """Return the model's facts as names and values; none where the data alone were audited."""
    model = audit.model
    if model is None:
        return []
    trained = {"real": "real images", "simulated": "simulated images"}.get(model.evidence_level, model.evidence_level)
    return [
        ("Task", f"{printable(model.title, 80)} ({printable(model.task, 60)})"),
        ("Version", printable(model.version, 40)),
        ("Members", f"{model.n_members}"),
        ("Labels", ", ".join(printable(label, 60) for label in model.labels)),
        ("Trained on", printable(trained, 60)),
        ("Weights, SHA-256", printable(model.weights_sha256, 80)),
    ]


def data_rows(audit: Audit) -> Rows:
    """Return the data's facts as names and values."""
    data = audit.data
    labels = ", ".join(f"{printable(name, 60)} {n:,}" for name, n in list(data.labels.items())[:40])
    groups = f"{data.n_groups:,}" if data.groups_known else "not known: each image counts as its own group"
    return [
        ("Data set", printable(data.name, 80)),
        ("Kind", printable(data.kind, 40)),
        ("Simulated", "yes" if data.simulated else "no"),
        ("Images", f"{data.n_rows:,}"),
        ("Split", f"{printable(data.split, 40)}, {data.n_scope:,} images" if data.split else "all images"),
        *([("Only rows where", printable(" and ".join(data.where), 200))] if data.where else []),
        ("Groups looked at", groups),
        ("Labels, all images", labels or "none"),
        ("SHA-256", printable(data.sha256, 80)),
    ]


def run_rows(audit: Audit) -> Rows:
    """Return the run's facts as names and values."""
    run = audit.run
    return [
        ("Command", printable(run.command, 600)),
        ("WhyCAD", printable(run.code_version, 40)),
        ("Made (UTC)", printable(run.created_utc, 40)),
        ("Seed", f"{run.seed}"),
        ("Bootstrap draws", f"{run.n_draws:,}"),
        ("Engine", printable(run.engine, 40)),
        ("Time", f"{run.seconds / 60:.1f} minutes"),
        ("Schema of audit.json", f"version {audit.schema_version}"),
    ]


def split_words(audit: Audit) -> str:
    """Say how often the split was evaluated."""
    if audit.model is None:
        return "No model was evaluated: the data alone were looked at."
    split = f"The split {printable(audit.data.split, 40)}" if audit.data.split else "This data set, without a split,"
    uses = audit.run.split_uses
    if not uses:
        return f"{split} has no entry in the ledger: how often it was used is {NOT_ESTABLISHED}."
    times = "once" if uses == 1 else f"{uses:,} times"
    return f"{split} has been used {times}, this audit included. The more often, the less its figures are worth."


def metric_rows(audit: Audit) -> Rows:
    """Return the headline metrics as names and values with their intervals.

    Figures of single classes and points (``auroc/melanoma``) are the tables' business, unless there are no others.
    """
    headline = {name: values for name, values in audit.metrics.items() if "/" not in name} or audit.metrics
    return [(metric_title(name), _metric_words(values)) for name, values in list(headline.items())[:MAX_METRICS]]


def metric_title(name: str) -> str:
    """Return a metric's name for people: ``macro_auroc`` gives ``Macro AUROC``."""
    told = [ACRONYMS.get(word, word) for word in printable(name.replace("_", " "), 80).replace("/", ": ").split(" ")]
    text = " ".join(told)
    return text[:1].upper() + text[1:]


def _metric_words(values: Mapping[str, float | None]) -> str:
    value, n = values.get("value"), values.get("n")
    basis = f", n = {n:,.0f}" if n is not None else ""
    if value is None:
        return f"{NOT_ESTABLISHED}{basis}"
    return interval_words(value, values.get("ci_low"), values.get("ci_high")) + basis
