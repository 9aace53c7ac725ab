"""A hand-made audit with every kind of chart and every severity, for tests of whatever shows audits.

All of its numbers are invented, and it says so: its data and its model are simulated.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from whycad.audit.findings import (
    Audit,
    CheckResult,
    CheckStatus,
    DataFacts,
    FailedCase,
    ModelFacts,
    RunFacts,
)
from whycad.audit.run.runner import write_audit
from whycad.audit.run.status import StatusFile
from whycad.testing.sample_changes import change_results
from whycad.testing.sample_data import data_results
from whycad.testing.sample_parts import N_CASES
from whycad.testing.sample_performance import performance_results

SIDE = 96


def sample_results(kind: str = "model") -> tuple[CheckResult, ...]:
    """Return what the checks of the sample audit found; ``kind`` is ``model`` or ``data``."""
    return (*performance_results(), *change_results(), *data_results()) if kind == "model" else data_results()


def sample_audit(kind: str = "model") -> Audit:
    """Return the sample audit without its tables and charts, which ``sample_results`` gives."""
    results = sample_results(kind)
    states = [CheckStatus(check=result.check, status="done") for result in results]
    states.append(CheckStatus(check="label_by_source", status="skipped", why="no source of its rows is named"))
    states.append(CheckStatus(check="label_issue", status="failed", why="the features of 3 folds are constant"))
    return Audit(
        kind="model" if kind == "model" else "data",
        model=_model() if kind == "model" else None,
        data=_data(kind),
        run=_run(kind),
        checks=tuple(states),
        findings=tuple(finding for result in results for finding in result.findings),
        failed=(
            FailedCase(case="case-0031", row=31, why="the file is cut short"),
            FailedCase(case="case-0117", row=117, why="the file is no image"),
        ),
        metrics=_metrics() if kind == "model" else {},
    )


def write_sample_audit(folder: Path, kind: str = "model") -> Audit:
    """Write the sample audit below a folder as an audit does, with pictures drawn for it."""
    folder.mkdir(parents=True, exist_ok=True)
    audit, results = sample_audit(kind), sample_results(kind)
    for result in results:
        for index, picture in enumerate(result.pictures):
            path = folder / picture.file
            path.parent.mkdir(parents=True, exist_ok=True)
            drawn_lesion(index).save(path)
    write_audit(audit, results, folder)
    StatusFile(folder).end("done")
    return audit


def drawn_lesion(seed: int, *, patch: bool = True) -> Image.Image:
    """Draw a picture that stands for a lesion, ``SIDE`` pixels square, perhaps with a coloured patch."""
    rng = np.random.default_rng(seed)
    picture = Image.new("RGB", (SIDE, SIDE), (214, 160, 136))
    pen = ImageDraw.Draw(picture)
    x, y = rng.integers(40, 56, 2).tolist()
    radius = int(rng.integers(14, 24))
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(92, 54, 40))
    if patch and seed % 2:
        pen.ellipse((60, -30, 130, 40), fill=(240, 170, 40))
        pen.ellipse((66, -30, 130, 32), fill=(100, 208, 208))
    return picture


def _model() -> ModelFacts:
    return ModelFacts(
        task="skin_lesion",
        title="Skin lesion (simulated)",
        version="1.0",
        weights_sha256="5a" * 32,
        evidence_level="simulated",
        labels=("nevus", "melanoma", "keratosis"),
        n_members=3,
    )


def _data(kind: str) -> DataFacts:
    return DataFacts(
        name="Simulated lesions",
        kind="pack",
        sha256="c3" * 32,
        split="val" if kind == "model" else "",
        n_rows=600,
        n_scope=N_CASES if kind == "model" else 600,
        n_groups=149 if kind == "model" else 588,
        groups_known=True,
        simulated=True,
        labels={"nevus": 380, "melanoma": 140, "keratosis": 80},
    )


def _run(kind: str) -> RunFacts:
    task = "audit --task skin_lesion --split val" if kind == "model" else "audit-data"
    return RunFacts(
        command=f"whycad {task} --dataset simulated_lesions.npz --draws 1000 --seed 0 --out sample",
        code_version="0.1.0",
        created_utc="2026-01-02T03:04:05+00:00",
        seed=0,
        n_draws=1000,
        engine="local",
        seconds=412.0,
        split_uses=2 if kind == "model" else 0,
        trusted={"artefact_insertion": "found 19 of 20 planted shortcuts of strength 0.5 or more that the model used"},
    )


def _metrics() -> dict[str, dict[str, float | None]]:
    return {
        "macro_auroc": {"value": 0.87, "ci_low": 0.81, "ci_high": 0.92, "n": 148},
        "balanced_accuracy": {"value": 0.71, "ci_low": 0.63, "ci_high": 0.79, "n": 148},
        "ece": {"value": 0.05, "ci_low": 0.03, "ci_high": 0.09, "n": 148},
        "auprc": {"value": None, "ci_low": None, "ci_high": None, "n": 9},
    }
