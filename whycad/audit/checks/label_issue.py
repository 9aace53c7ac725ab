"""Labels that are probably wrong, by confident learning (cleanlab)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whycad.audit.bootstrap import Estimate, FloatArray, share_interval
from whycad.audit.checks import Check, CheckSkippedError
from whycad.audit.context import AuditContext
from whycad.audit.data_words import count, shown
from whycad.audit.findings import MAX_CASES, CheckResult, Column, Finding, Severity, Table
from whycad.audit.measures import mean_of
from whycad.audit.trivial import Sample, grouped, sample_of, scattered

# Doubts of a judge who hardly knows the labels say nothing of the labels.
LEAST_AREA = 0.9
MATTERS, LARGE = 0.02, 0.1
EXPECTED_DRAWS = 20
N_COMPONENTS = 32
MAX_ROWS = 500
METHOD = (
    "Confident learning compares each label with the probabilities of a model that did not see the image in training: "
    "the audited task where there is one (on the audited rows), else a logistic regression on light, colour, histogram "
    "and a thumbnail, cross-validated with groups kept together. A label is doubtful where both rules of the method "
    "(by class and by noise rate) say so. Right labels are doubted too where the model is unsure: the share is held "
    f"against that among labels drawn from its own probabilities ({EXPECTED_DRAWS} draws). Where the model's AUC is "
    f"below {LEAST_AREA}, its doubts are its own. Every doubt needs a reader's eye. Interval by bootstrap over groups."
)


@dataclass(frozen=True, eq=False)
class Judge:
    """Who doubts the labels.

    Attributes
    ----------
    name : str
        For readers.
    sample : Sample
    probabilities : ndarray (m, k)
        Each row's, given by a model that was not trained on it.
    """

    name: str
    sample: Sample
    probabilities: FloatArray


def run(context: AuditContext) -> CheckResult:
    """Find labels that the model, or a simple model of the pictures, doubts."""
    judge = _task(context) if context.plugin is not None else _simple(context)
    doubtful = label_issues(judge.sample.target, judge.probabilities)
    flags = np.zeros(len(judge.sample.rows), bool)
    flags[doubtful] = True
    statistics = {"share": mean_of(flags), "area": judge.sample.area(judge.probabilities)}
    found = context.bootstrap(judge.sample.groups).estimate(statistics)
    expected = expected_share(judge, context.options.seed)
    return CheckResult(
        check=CHECK.id,
        title=CHECK.title,
        question=CHECK.question,
        method=METHOD,
        references=("Northcutt 2021, doi:10.1613/jair.1.12125",),
        findings=(_finding(context, judge, doubtful, found, expected),),
        tables=(_table(context, judge, doubtful),) if len(doubtful) else (),
    )


def label_issues(target: NDArray[np.int64], probabilities: FloatArray) -> NDArray[np.int64]:
    """Return the rows whose label is doubtful, the most doubtful first."""
    from cleanlab.filter import find_label_issues

    ranked = find_label_issues(
        target, probabilities, filter_by="both", return_indices_ranked_by="self_confidence", n_jobs=1
    )
    return np.asarray(ranked, np.int64)


def expected_share(judge: Judge, seed: int) -> tuple[float, float]:
    """Return mean and standard deviation of the share of doubtful labels, were the judge's probabilities true."""
    rng = np.random.default_rng(seed)
    summed = np.cumsum(judge.probabilities, axis=1)
    n, k = judge.probabilities.shape
    shares = []
    for _ in range(EXPECTED_DRAWS):
        drawn = np.minimum((rng.random((n, 1)) > summed).sum(axis=1), k - 1).astype(np.int64)
        # The method needs every label.
        if len(np.unique(drawn)) == k:
            shares.append(len(label_issues(drawn, judge.probabilities)) / n)
    return (float(np.mean(shares)), float(np.std(shares))) if shares else (0.0, 0.0)


def _simple(context: AuditContext) -> Judge:
    """Train a logistic regression on descriptors of the pictures."""
    sample = sample_of(context)
    if len(sample.labels) < 2:
        raise CheckSkippedError(f"it takes two labels with {context.options.least_n} readable images each")
    folds = (grouped if sample.least_groups >= 2 else scattered)(sample, context.options.seed)
    facts = context.facts
    numbers = np.concatenate([facts.stats[sample.rows], facts.histogram[sample.rows]], axis=1)
    thumbs = facts.thumb[sample.rows].reshape(len(sample.rows), -1) / 255
    out = np.full((len(sample.rows), len(sample.labels)), 1 / len(sample.labels))
    for fold in np.unique(folds):
        held = folds == fold
        out[held] = _fitted(numbers, thumbs, sample.target, ~held, held, len(sample.labels))
    return Judge("a simple model of the pictures", sample, out)


def _fitted(
    numbers: FloatArray,
    thumbs: FloatArray,
    target: NDArray[np.int64],
    train: NDArray[np.bool_],
    held: NDArray[np.bool_],
    k: int,
) -> FloatArray:
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    pca = PCA(min(N_COMPONENTS, int(train.sum()) - 1, thumbs.shape[1]), random_state=0).fit(thumbs[train])
    known = np.where(np.isfinite(numbers), numbers, 0.0)
    both = np.concatenate([known, pca.transform(thumbs)], axis=1)
    scaler = StandardScaler().fit(both[train])
    model = LogisticRegression(C=0.1, max_iter=2000).fit(scaler.transform(both[train]), target[train])
    out = np.zeros((int(held.sum()), k))
    out[:, model.classes_] = model.predict_proba(scaler.transform(both[held]))
    return out


def _task(context: AuditContext) -> Judge:
    """Use the task's own answers to the audited rows."""
    answers, cases = context.answers, context.in_scope
    least = context.options.least_n
    counts = np.bincount(answers.label[answers.judged], minlength=len(answers.codes))
    used = np.flatnonzero(counts >= least)
    if len(used) < 2:
        raise CheckSkippedError(f"it takes two labels with {least} images that the task scored")
    rows = np.flatnonzero(answers.judged & np.isin(answers.label, used))
    target = np.searchsorted(used, answers.label[rows])
    given = answers.probabilities[np.ix_(rows, used)]
    probabilities = given / np.maximum(given.sum(axis=1, keepdims=True), 1e-12)
    labels = tuple(answers.codes[i] for i in used)
    return Judge(
        "the task", Sample(context.scope[rows], labels, target.astype(np.int64), cases.groups[rows]), probabilities
    )


def _finding(
    context: AuditContext,
    judge: Judge,
    doubtful: NDArray[np.int64],
    found: dict[str, Estimate],
    expected: tuple[float, float],
) -> Finding:
    share, area = found["share"], found["area"]
    interval = share_interval(share, len(np.unique(judge.sample.groups)))
    low, high = interval or (None, None)
    n = len(judge.sample.rows)
    words = "" if low is None or high is None else f", {share.value:.1%} ({low:.1%} to {high:.1%})"
    if not area.value >= LEAST_AREA:
        severity = Severity.UNKNOWN
        message = (
            f"Not established: {judge.name} tells the labels too poorly (AUC {area.value:.2f}) for its doubts to "
            f"count; it doubts {count(len(doubtful), 'label')} of {n:,}."
        )
    else:
        mean, spread = expected
        severity = label_severity((low or 0.0) - mean - 2 * spread)
        than = "no more than" if severity is Severity.OK else "more than"
        words = "" if low is None or high is None else f" ({low:.1%} to {high:.1%})"
        message = (
            f"{judge.name[0].upper()}{judge.name[1:]} (AUC {area.value:.2f}) doubts {count(len(doubtful), 'label')} of "
            f"{n:,}, {share.value:.1%}{words}, {than} the {mean:.1%} expected were all of them right."
        )
    rows = judge.sample.rows[doubtful]
    return Finding(
        check=CHECK.id,
        severity=severity,
        message=message,
        column="label",
        effect=share.value,
        effect_name="share of labels",
        no_effect=expected[0],
        ci_low=low,
        ci_high=high,
        n=n,
        cases=tuple(str(name) for name in context.cases.ids[rows][:MAX_CASES]),
        n_cases=len(rows),
    )


def label_severity(excess: float) -> Severity:
    """Return how worrying a share of doubtful labels is that is so much beyond what right labels give."""
    if excess < MATTERS:
        return Severity.OK
    return Severity.CRITICAL if excess >= LARGE else Severity.WARNING


def _table(context: AuditContext, judge: Judge, doubtful: NDArray[np.int64]) -> Table:
    sample, p = judge.sample, judge.probabilities
    shown_rows = doubtful[:MAX_ROWS]
    ids = [str(name) for name in context.cases.ids[sample.rows[shown_rows]]]
    rows = [
        (
            name,
            sample.labels[sample.target[i]],
            float(p[i, sample.target[i]]),
            sample.labels[int(p[i].argmax())],
            float(p[i].max()),
        )
        for name, i in zip(ids, shown_rows.tolist(), strict=True)
    ]
    titles = {
        "case": "Case",
        "label": "Label",
        "p": "Its probability",
        "other": "Rather",
        "p_other": "Its probability ",
    }
    return Table(
        key="doubtful",
        title=f"Doubtful labels, as {shown(judge.name)} sees them",
        columns=tuple(Column(key=key, title=title.strip()) for key, title in titles.items()),
        rows=tuple(rows),
        cases=tuple((name,) for name in ids),
    )


CHECK = Check("label_issue", "Doubtful labels", "Which labels are probably wrong?", run)
