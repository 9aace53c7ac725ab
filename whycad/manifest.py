"""The schema of ``plugin.toml``: what a plugin declares, checked before any of its code runs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from whycad.errors import ManifestError
from whycad.types import EvidenceLevel, TaskKind

SCHEMA_VERSION = 1
MANIFEST_NAME = "plugin.toml"
MAX_MANIFEST_BYTES = 256 * 1024

Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
LabelCode = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,31}$")]
CodeReference = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Fraction = Annotated[float, Field(ge=0, le=1)]
Cost = Annotated[float, Field(ge=0, allow_inf_nan=False)]
View = Literal["identity", "flip_rows", "flip_columns", "flip_both"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Label(_Section):
    """One answer that the task can give; ``plural`` is what several cases of it are called, such as ``nevi``."""

    code: LabelCode
    name: str = Field(min_length=1, max_length=80)
    long_name: str = ""
    plural: str = Field(default="", max_length=80)
    snomed: str = Field(default="", pattern=r"^\d{0,18}$")
    radlex: str = Field(default="", pattern=r"^(RID\d+)?$")
    severity: int = Field(default=0, ge=0, le=10)
    must_not_miss: bool = False


class InputSpec(_Section):
    """What images the task reads, and the tensor that the network gets.

    ``shape`` is the network's spatial shape; ``value_range`` is the range of the Study's pixels.
    With ``per_slice`` the plugin's preprocess reads one two-dimensional slice, and a volume is
    analysed slice by slice. ``region_name`` is what the reader is asked to click with
    ``needs_region``, such as ``nodule``.
    """

    modalities: tuple[str, ...] = Field(min_length=1)
    colour: bool
    channels: int = Field(ge=1, le=64)
    shape: tuple[int, ...] = Field(min_length=2, max_length=3)
    value_range: tuple[float, float]
    spacing_mm: tuple[float, ...] | None = None
    window: tuple[float, float] | None = None
    min_size_px: int = Field(default=32, ge=1)
    needs_region: bool = False
    region_name: str = Field(default="finding", pattern=r"^[a-z][a-z ]{0,39}$")
    per_slice: bool = False

    @field_validator("shape")
    @classmethod
    def _positive(cls, shape: tuple[int, ...]) -> tuple[int, ...]:
        if any(not 1 <= side <= 4096 for side in shape):
            raise ValueError("every side must be between 1 and 4096")
        return shape

    @model_validator(mode="after")
    def _slices_are_flat(self) -> InputSpec:
        if self.per_slice and (len(self.shape) != 2 or self.colour):
            raise ValueError("per_slice needs a grey task with a shape of two sides")
        if self.per_slice and self.needs_region:
            raise ValueError("per_slice and needs_region exclude each other")
        return self


class Code(_Section):
    """Where the plugin's functions are, as ``module:function``; resolved on first use.

    ``evidence(study, inputs, outputs) -> Evidence`` measures; ``read_row(pack, row) -> (Study,
    Region | None)`` reads a pack where the plain reading is not enough; ``gate(study, region) ->
    tuple of str`` says in plain words why an image cannot be scored; ``strange(batch) -> (n,)``
    scores how strange inputs are; ``survey(study, region)`` looks once at what ``gate`` and
    ``preprocess`` both need, and where it is named both get what it returned as a third argument;
    ``card() -> dict of str to str`` gives the model card's own tables (``whycad.card_blocks``);
    ``artefacts(study) -> tuple of FoundArtefact`` finds what is not of the patient in one image
    (``whycad.whatif.artefacts``); ``draw_artefact(study, kind, seed) -> (pixels, mask)`` draws one of
    ``audit.artefacts`` into an image for the audit; ``build_evidence_model() -> Module`` builds the network of
    ``[evidence_model]``; ``reference_cases(data) -> iterable of ReferenceCase`` reads the cases that
    calibration was fitted on (``whycad.reference_cases``).
    ``masked_cases(data, part, n, seed) -> iterator of MaskedCase`` gives cases on which maps are
    judged (``whycad.masked_cases``).
    """

    build_model: CodeReference
    preprocess: CodeReference
    phantom: CodeReference | None = None
    evidence: CodeReference | None = None
    train: CodeReference | None = None
    read_row: CodeReference | None = None
    gate: CodeReference | None = None
    survey: CodeReference | None = None
    strange: CodeReference | None = None
    card: CodeReference | None = None
    artefacts: CodeReference | None = None
    draw_artefact: CodeReference | None = None
    build_evidence_model: CodeReference | None = None
    reference_cases: CodeReference | None = None
    masked_cases: CodeReference | None = None


class WeightsFile(_Section):
    """One safetensors file, of a member or of the evidence model, relative to the plugin folder."""

    path: str = Field(pattern=r"^[\w][\w./-]*\.safetensors$")
    sha256: Sha256

    @field_validator("path")
    @classmethod
    def _inside(cls, path: str) -> str:
        if ".." in Path(path).parts:
            raise ValueError("must stay inside the plugin folder")
        return path


class Weights(_Section):
    """The ensemble, one file per member."""

    files: tuple[WeightsFile, ...] = ()


class CalibrationFile(_Section):
    """Calibration, conformal scores and thresholds, relative to the plugin folder."""

    file: str = Field(pattern=r"^[\w][\w.-]*\.json$")


class SimilarFile(_Section):
    """Features of reference cases (``whycad.neighbours``), relative to the plugin folder."""

    file: str = Field(pattern=r"^[\w][\w.-]*\.npz$")
    sha256: Sha256 | None = None


class FragilityFile(_Section):
    """How far calibration cases are from another answer (``whycad.whatif.fragility``)."""

    file: str = Field(pattern=r"^[\w][\w.-]*\.json$")


class ReferenceFile(_Section):
    """Distributions of the measurements by label, relative to the plugin folder.

    ``range_label`` is the label whose central range is shown beside a measurement; by default the
    first of the least severe.
    """

    file: str = Field(pattern=r"^[\w][\w.-]*\.json$")
    range_label: LabelCode | None = None


class Words(_Section):
    """How cases with a smaller or a larger value are described: ``are more symmetric``.

    ``name`` is what a sentence calls the measurement or descriptor; by default its own name.
    """

    name: str = Field(default="", max_length=60)
    less: str = Field(default="have less", min_length=1, max_length=80)
    more: str = Field(default="have more", min_length=1, max_length=80)


class Argument(_Section):
    """How the line of argument is worded and what it may use.

    ``outlines`` are the segmentations in which a map's mass is counted, together; by default the first
    there is. ``absent`` are labels, such as normal, of which nothing is to be seen at one place: their maps are not
    held against outlines. No finding is made of a measurement or concept in ``silent``. ``words`` are by key.
    """

    outlines: tuple[str, ...] = ()
    absent: tuple[LabelCode, ...] = ()
    silent: tuple[Identifier, ...] = ()
    words: dict[Identifier, Words] = Field(default_factory=dict)


class Inference(_Section):
    """Test-time views, each averaged with the others."""

    tta: tuple[View, ...] = ("identity",)


class Explain(_Section):
    """Explanation methods that readers are offered; ``gradcam_layer`` is a dotted module name.

    Researchers may ask for every other method too, except those named in ``unfit``. ``grades`` is
    the file, relative to the plugin folder, that holds the thresholds of the maps' grades and how
    each method fares (``whycad.map_grades``).
    """

    methods: tuple[Identifier, ...] = ("ig", "occlusion", "lime")
    unfit: tuple[Identifier, ...] = ()
    gradcam_layer: str = ""
    grades: str = Field(default="", pattern=r"^([\w][\w.-]*\.json)?$")

    @model_validator(mode="after")
    def _layer_named(self) -> Explain:
        for method in ("gradcam", "gradcam_pp"):
            if method in self.methods and not self.gradcam_layer:
                raise ValueError(f"method {method!r} needs gradcam_layer")
        return self

    @model_validator(mode="after")
    def _offered_methods_fit(self) -> Explain:
        both = sorted(set(self.methods) & set(self.unfit))
        if both:
            raise ValueError(f"methods {both} are both offered and unfit")
        return self


class CostTable(_Section):
    """What each outcome costs, in units of the manifest's choice.

    ``report[true][predicted]`` is the cost of reporting ``predicted`` when ``true`` holds; 0 where
    it is not named.
    """

    report: dict[str, dict[str, Cost]] = Field(default_factory=dict)
    refer: Cost = 0.0
    reject: Cost = 0.0


class DecisionRule(_Section):
    """How probabilities become a label and when the case is referred.

    The predicted label maximises ``probability * class_weight / prevalence ** balance_power``:
    0 is the most probable label, 1 maximises balanced accuracy. A case is referred where the
    probability of a label in ``refer_probability`` is at least the number given there.
    ``set_coverage`` is the level of the set that the policy looks at, whatever level the reader
    has chosen to see; ``costs`` refers where reporting would cost more than referring.
    """

    balance_power: Fraction = 0.0
    class_weights: dict[str, float] = Field(default_factory=dict)
    refer_epistemic_percentile: float = Field(default=97.5, ge=50, le=100)
    refer_set_size: int = Field(default=3, ge=2)
    set_coverage: float = Field(default=0.9, ge=0.5, le=0.999)
    refer_probability: dict[str, Fraction] = Field(default_factory=dict)
    costs: CostTable | None = None


class OperatingPoint(_Section):
    """A binary question over the sum of some labels' probabilities."""

    name: Identifier
    labels: tuple[str, ...] = Field(min_length=1)
    sensitivity: Fraction


class Audit(_Section):
    """What the audit should look at; ``summary`` names the packaged summary of the last one.

    ``label_fields`` are columns of its data sets that define the label, say how it was made, or are signs of the
    disease itself: they tell the label by right, so that no check takes them for confounders or subgroups.
    """

    summary: str = Field(default="", pattern=r"^([\w][\w.-]*\.json)?$")
    metadata_fields: tuple[str, ...] = ()
    label_fields: tuple[str, ...] = ()
    artefacts: tuple[str, ...] = ()
    group_field: str = ""
    label_map: dict[str, str] = Field(default_factory=dict)


class Manifest(_Section):
    """A whole ``plugin.toml``."""

    schema_version: Literal[1]
    id: Identifier
    version: str = Field(pattern=r"^\d+\.\d+\.\d+([.-][\w.]+)?$")
    title: str = Field(min_length=1, max_length=80)
    summary: str = Field(default="", max_length=300)
    kind: TaskKind
    evidence_level: EvidenceLevel
    intended_use: str = Field(min_length=1)
    model_card: str = ""
    licence: str = ""
    labels: tuple[Label, ...] = Field(min_length=2)
    input: InputSpec
    code: Code
    weights: Weights = Weights()
    calibration: CalibrationFile | None = None
    similar: SimilarFile | None = None
    fragility: FragilityFile | None = None
    evidence_model: WeightsFile | None = None
    reference: ReferenceFile | None = None
    argument: Argument = Argument()
    inference: Inference = Inference()
    explain: Explain = Explain()
    decision: DecisionRule = DecisionRule()
    operating_points: tuple[OperatingPoint, ...] = ()
    audit: Audit = Audit()

    @property
    def label_codes(self) -> tuple[str, ...]:
        """Label codes in declared order, which is the order of every probability array."""
        return tuple(label.code for label in self.labels)

    def point_name(self, name: str) -> str:
        """Return an operating point's name for readers, labels as they are written: ``at least F2``."""
        written = {label.code.lower(): label.code for label in self.labels if label.name == label.code}
        return " ".join(written.get(word, word) for word in name.split("_"))

    def label(self, code: str) -> Label:
        """Return the label with this code.

        Raises
        ------
        ManifestError
            When the task has no such label.
        """
        for label in self.labels:
            if label.code == code:
                return label
        raise ManifestError(
            f"task {self.id!r} has no label {code[:32]!r}", remedy=f"it has {', '.join(self.label_codes)}"
        )

    @model_validator(mode="after")
    def _labels_consistent(self) -> Manifest:
        codes = self.label_codes
        if len(set(codes)) != len(codes):
            raise ValueError("label codes must be unique")
        if self.kind is TaskKind.BINARY and len(codes) != 2:
            raise ValueError(f"a binary task has 2 labels, not {len(codes)}")
        named = [*self.decision.class_weights, *self.decision.refer_probability, *self.audit.label_map.values()]
        if self.decision.costs is not None:
            named += [code for true, row in self.decision.costs.report.items() for code in (true, *row)]
        named += [label for point in self.operating_points for label in point.labels]
        named += self.argument.absent
        if self.reference is not None and self.reference.range_label is not None:
            named.append(self.reference.range_label)
        unknown = sorted(set(named) - set(codes))
        if unknown:
            raise ValueError(f"unknown label codes {unknown}")
        return self

    @model_validator(mode="after")
    def _evidence_model_whole(self) -> Manifest:
        if (self.evidence_model is None) != (self.code.build_evidence_model is None):
            raise ValueError("evidence_model and code.build_evidence_model come together")
        return self

    @model_validator(mode="after")
    def _paths_safe(self) -> Manifest:
        if self.model_card and (Path(self.model_card).is_absolute() or ".." in Path(self.model_card).parts):
            raise ValueError("model_card must be a relative path without '..'")
        return self


def _first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in problem["loc"]) or "whole file"
    return f"{place}: {re.sub(r'^Value error, ', '', problem['msg'])}"


def load_manifest(folder: Path) -> Manifest:
    """Read and check ``plugin.toml`` in a folder; no plugin code is imported.

    Raises
    ------
    ManifestError
        When the file is missing, too large, not TOML, or breaks the schema; the message names
        the folder and the first broken key.
    """
    path = folder / MANIFEST_NAME
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise ManifestError(f"plugin {folder.name!r}: plugin.toml is larger than {MAX_MANIFEST_BYTES} bytes")
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, RecursionError, tomllib.TOMLDecodeError) as error:
        raise ManifestError(f"plugin {folder.name!r}: plugin.toml cannot be read ({type(error).__name__})") from error
    if raw.get("schema_version") != SCHEMA_VERSION:
        raise ManifestError(f"plugin {folder.name!r}: schema_version must be {SCHEMA_VERSION}")
    try:
        return Manifest.model_validate(raw)
    except ValidationError as error:
        raise ManifestError(f"plugin {folder.name!r}: plugin.toml, {_first_problem(error)}") from error
