"""Audit contexts made of arrays: what checks of a model are tested on, without images or a network.

``simulated_context`` draws cases whose class, calibration and faults are known: a shortcut of a
known strength, a subgroup that the model reads badly, probabilities that are too sure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whycad.audit.context import AuditContext, AuditOptions, ModelAnswers
from whycad.audit.data.cases import UNKNOWN, AuditCases, MetadataColumn
from whycad.audit.data.dataset import DatasetKind, DatasetRef, pictures_of
from whycad.audit.data.facts import BINS, STATS, THUMB, ImageFacts
from whycad.audit.run.engine import EngineOptions
from whycad.errors import DatasetError, WhyCadError
from whycad.manifest import Manifest
from whycad.plugin import Plugin
from whycad.testing.example_tasks import example_calibration, example_manifest
from whycad.types import Region, Study
from whycad.uncertainty.conformal import p_values
from whycad.uncertainty.decision import predicted_indices
from whycad.uncertainty.decomposition import decompose

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CasesOnly:
    """A data set that has rows but no images."""

    cases: AuditCases
    kind: DatasetKind = "table"
    sha256: str = "0" * 64

    def content(self, row: int) -> str:
        """Return a name for the row's image."""
        return f"content-{row}"

    def case(self, row: int) -> tuple[Study, Region | None]:
        """Refuse."""
        raise DatasetError(f"row {row} has no image")

    def picture(self, row: int) -> NDArray[np.uint8]:
        """Refuse."""
        raise DatasetError(f"row {row} has no image")

    def pictures(self, rows: Sequence[int]) -> Iterator[NDArray[np.uint8] | WhyCadError]:
        """Refuse each."""
        return pictures_of(self, rows)

    def mask(self, row: int) -> NDArray[np.bool_] | None:
        """Return None."""
        del row
        return None

    def file_bytes(self, row: int) -> int | None:
        """Return None."""
        del row
        return None


@dataclass(frozen=True)
class AuditRecipe:
    """How to draw cases and a model's answers to them.

    The class of each case shows in a normal variable per class; the model knows the true model, so
    that its probabilities are calibrated but for the faults asked for here.

    Attributes
    ----------
    n : int
    prevalence : tuple of float
        Of the classes ``c0``, ``c1``, ...; adds up to 1.
    signal : float
        How well classes can be told apart: 1.4 gives an AUROC of about 0.92.
    cases_per_group : int
        Groups share their label, ruler and site.
    ruler_share : tuple of float
        Share of images with a ruler: in cases of the last class, and in the others.
    ruler_use : float
        Added to the logit of the last class where there is a ruler: the shortcut.
    weak_site : float
        How much of the signal is lost at the site ``hand``, 0..1.
    sharpness : float
        Factor on the logits; above 1 the model is too sure.
    ruler_in_features, ruler_in_image : float
        How far the ruler shows in the features and in the pictures, in standard deviations.
    """

    n: int = 600
    prevalence: tuple[float, ...] = (0.7, 0.3)
    signal: float = 1.4
    cases_per_group: int = 1
    ruler_share: tuple[float, float] = (0.3, 0.3)
    ruler_use: float = 0.0
    weak_site: float = 0.0
    sharpness: float = 1.0
    ruler_in_features: float = 0.0
    ruler_in_image: float = 0.0
    columns: tuple[str, ...] = ("ruler", "site", "sex", "age_years")
    n_members: int = 3
    seed: int = 0
    options: AuditOptions = field(default_factory=lambda: AuditOptions(n_draws=200))
    split: str = "val"


def simulated_context(recipe: AuditRecipe, out: Path) -> AuditContext:
    """Draw an audit's context.

    Parameters
    ----------
    recipe : AuditRecipe
    out : Path
        The audit's folder.
    """
    rng = np.random.default_rng(recipe.seed)
    group = np.arange(recipe.n) // recipe.cases_per_group
    n_groups = int(group.max()) + 1
    k = len(recipe.prevalence)
    label = rng.choice(k, n_groups, p=recipe.prevalence)[group]
    last = label == k - 1
    with_ruler, without = recipe.ruler_share
    ruler = rng.random(n_groups)[group] < np.where(last, with_ruler, without)
    site = rng.choice(["back", "face", "hand"], n_groups, p=[0.5, 0.3, 0.2])[group]
    seen = recipe.signal * (1 - recipe.weak_site * (site == "hand"))
    shown = seen[:, None] * np.eye(k)[label] + rng.normal(size=(recipe.n, k))
    logits = np.log(recipe.prevalence) + recipe.signal * shown
    logits[:, -1] += recipe.ruler_use * ruler
    sex = np.where(rng.random(recipe.n) < 0.1, UNKNOWN, rng.choice(["f", "m"], recipe.n))
    columns = (
        _flag("ruler", ruler),
        MetadataColumn("site", "category", site.astype(np.str_)),
        MetadataColumn("sex", "category", sex),
        MetadataColumn("age_years", "number", rng.uniform(20, 90, recipe.n).round()),
    )
    codes = tuple(f"c{index}" for index in range(k))
    cases = AuditCases(
        name="simulated",
        ids=np.array([f"case-{index}" for index in range(recipe.n)], np.str_),
        labels=np.array(codes, np.str_)[label],
        groups=np.array([f"group-{index}" for index in group], np.str_),
        splits=np.full(recipe.n, recipe.split),
        columns=tuple(column for column in columns if column.name in recipe.columns),
        label_order=codes,
    )
    noise = rng.normal(scale=0.2, size=(recipe.n_members, recipe.n, k))
    members = _softmax(recipe.sharpness * logits + noise)
    context = context_of(cases, members, out, recipe.options)
    extra = rng.normal(size=(recipe.n, 6))
    extra[:, 0] += recipe.ruler_in_features * ruler
    features = np.hstack([shown, extra]).astype(np.float32)
    facts = _facts(recipe.n, (ruler * recipe.ruler_in_image).astype(np.float64), rng)
    return with_facts(context, features, facts)


def context_of(cases: AuditCases, members: FloatArray, out: Path, options: AuditOptions) -> AuditContext:
    """Return the context of a task's answers that are given as arrays.

    Parameters
    ----------
    cases : AuditCases
        ``label_order`` names the task's labels; the last one must not be missed.
    members : ndarray (m, n, k)
        Calibrated probabilities.
    out : Path
    options : AuditOptions
    """
    manifest = simulated_manifest(cases.label_order)
    context = AuditContext(
        ref=DatasetRef(Path("simulated.csv"), "simulated"),
        dataset=CasesOnly(cases),
        scope=np.arange(len(cases)),
        options=options,
        engine=EngineOptions(cache=out / "cache"),
        out=out,
        plugin=Plugin(manifest, out),
        split=str(cases.splits[0]),
        command="whycad audit --task simulated",
    )
    vars(context)["calibration"] = example_calibration(manifest)
    vars(context)["answers"] = simulated_answers(cases, members, manifest)
    vars(context)["features"] = None
    return context


def with_facts(context: AuditContext, features: NDArray[np.float32] | None, facts: ImageFacts) -> AuditContext:
    """Put features ``(n, d)`` and facts of the pictures into a context, and return it."""
    vars(context)["features"] = features
    vars(context)["facts"] = facts
    return context


def simulated_manifest(codes: tuple[str, ...]) -> Manifest:
    """Return the manifest of a task with these labels; the last one must not be missed and is an operating point."""
    last = len(codes) - 1
    shape = {"modalities": ["XC"], "colour": True, "channels": 3, "shape": [32, 32], "value_range": [0.0, 1.0]}
    return example_manifest(
        "simulated",
        "binary" if last == 1 else "multiclass",
        [
            {"code": code, "name": f"Class {index}", "severity": index, "must_not_miss": index == last}
            for index, code in enumerate(codes)
        ],
        input=shape,
        operating_points=[{"name": "severe", "labels": [codes[-1]], "sensitivity": 0.9}],
        audit={"metadata_fields": ["age_years", "sex", "site"], "artefacts": ["ruler"]},
    )


def simulated_answers(cases: AuditCases, members: FloatArray, manifest: Manifest) -> ModelAnswers:
    """Return answers with calibrated sets; a case is referred where its leading label has less than 0.7."""
    codes = manifest.label_codes
    mean = members.mean(axis=0)
    index = {code: i for i, code in enumerate(codes)}
    label = np.array([index.get(str(code), -1) for code in cases.labels], np.int64)
    strange = 1 - mean
    own = {code: np.sort(strange[label == i, i]).tolist() for i, code in enumerate(codes)}
    return ModelAnswers(
        codes=codes,
        members=members,
        predicted=predicted_indices(mean, manifest, (1 / len(codes),) * len(codes)),
        label=label,
        decision=np.where(mean.max(axis=1) >= 0.7, "report", "refer"),
        conformal_p=p_values(strange, own),
        gate=np.zeros(len(cases)),
        parts=np.stack(decompose(members)),
        error=np.full(len(cases), ""),
        simulated=True,
    )


def _softmax(logits: FloatArray) -> FloatArray:
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def _flag(name: str, present: NDArray[np.bool_]) -> MetadataColumn:
    return MetadataColumn(name, "category", np.where(present, "yes", "no"), "artefact")


def _facts(n: int, brightness: FloatArray, rng: np.random.Generator) -> ImageFacts:
    """Return facts of noise whose first pixels are brighter by so many standard deviations."""
    thumb = rng.normal(128, 20, size=(n, THUMB, THUMB, 3))
    thumb[:, :2, :2] += 20 * brightness[:, None, None, None]
    return ImageFacts(
        error=np.full(n, ""),
        content=np.array([f"content-{row}" for row in range(n)], np.str_),
        stats=rng.normal(size=(n, len(STATS))),
        histogram=np.full((n, 3 * BINS), 1 / BINS),
        thumb=np.clip(thumb, 0, 255).astype(np.uint8),
    )
