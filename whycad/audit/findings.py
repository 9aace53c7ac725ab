"""What an audit says: findings, tables, charts and pictures, and the document that holds them.

Everything here is plain data that saves as JSON; the page, the report and the model card draw from
the same objects. The schema of ``audit.json`` is versioned by ``SCHEMA_VERSION``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1
MAX_CASES = 200

Cell = str | int | float | bool | None
Kind = Literal["interval", "line", "bar", "scatter", "histogram", "heatmap"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Severity(StrEnum):
    """How a finding is to be read: fine, too few cases to say, look closer, worrying."""

    OK = "ok"
    UNKNOWN = "unknown"
    WARNING = "warning"
    CRITICAL = "critical"


class Finding(_Part):
    """One sentence with a number and its interval.

    ``effect`` is in the unit that ``effect_name`` names, and ``no_effect`` is the value that means
    "nothing". ``n`` counts the cases that it rests on; ``cases`` are ids of those behind it (at most
    ``MAX_CASES``, the clearest first) and ``n_cases`` how many there are in all. ``column`` is the
    metadata column, artefact, corruption or method; ``label`` the class that it is about. Where the
    finding is of images with one level of the column, ``level`` names it as the tables do (``trunk``,
    ``40-59``, ``yes``), and ``share_ratio`` is the label's share among them over its share among all
    others, where both are above 0.
    """

    check: str
    severity: Severity
    message: str
    column: str = ""
    level: str = ""
    label: str = ""
    share_ratio: float | None = Field(default=None, gt=0)
    effect: float | None = None
    effect_name: str = ""
    no_effect: float = 0.0
    ci_low: float | None = None
    ci_high: float | None = None
    n: int = 0
    cases: tuple[str, ...] = Field(default=(), max_length=MAX_CASES)
    n_cases: int = 0


class Column(_Part):
    """A column of a table; ``decimals`` applies to numbers."""

    key: str
    title: str
    decimals: int = 3


class Table(_Part):
    """Rows of plain cells; ``cases`` holds, per row, ids of the cases behind it (may be empty)."""

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    cases: tuple[tuple[str, ...], ...] = ()
    note: str = ""


class Mark(_Part):
    """One datum of a chart: a point, a bar or a cell, with its interval and the cases behind it.

    Of an interval chart ``y`` is the row's name and ``x``, ``low``, ``high`` the estimate; of a heat
    map ``z`` is the cell's value; otherwise ``low`` and ``high`` bound ``y``.
    """

    x: float | str
    y: float | str
    z: float | None = None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    severity: Severity | None = None
    cases: tuple[str, ...] = ()


class Series(_Part):
    """Marks that belong together; ``name`` is for the legend, empty where there is only one."""

    name: str = ""
    marks: tuple[Mark, ...]


class Chart(_Part):
    """A chart as data: drawn by plotly on the page and as static SVG in the report.

    ``reference`` draws a line of no effect (across ``x`` of interval charts, across ``y`` of others);
    ``diagonal`` the line of equality.
    """

    key: str
    title: str
    kind: Kind
    series: tuple[Series, ...]
    x_title: str = ""
    y_title: str = ""
    reference: float | None = None
    diagonal: bool = False
    note: str = ""


class Picture(_Part):
    """A picture in the audit's own folder, of the user's own images.

    ``file`` is relative to the folder, such as ``pictures/artefact_insertion/ruler-1.png``.
    """

    file: str
    caption: str
    case: str = ""


class CheckResult(_Part):
    """What one check found. ``question`` is what it asks, ``method`` how, with references.

    ``metrics`` are figures for machines, by name: ``value``, ``ci_low``, ``ci_high``, ``n``.
    """

    check: str
    title: str
    question: str
    method: str = ""
    references: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    tables: tuple[Table, ...] = ()
    charts: tuple[Chart, ...] = ()
    pictures: tuple[Picture, ...] = ()
    metrics: dict[str, dict[str, float | None]] = Field(default_factory=dict)
    note: str = ""


class CheckStatus(_Part):
    """Whether a check ran: ``done``, ``skipped`` (and why), or ``failed`` (and why)."""

    check: str
    status: Literal["done", "skipped", "failed"]
    why: str = ""


class FailedCase(_Part):
    """A case that could not be read or predicted, and why, without a word of the patient."""

    case: str
    row: int
    why: str


class ModelFacts(_Part):
    """Which model was audited."""

    task: str
    title: str
    version: str
    weights_sha256: str
    evidence_level: str
    labels: tuple[str, ...]
    n_members: int


class DataFacts(_Part):
    """Which data were looked at.

    ``split`` is empty where all rows were; ``where`` says what the split's rows had to hold. ``warnings`` are of
    reading them.
    """

    name: str
    kind: str
    sha256: str
    split: str = ""
    where: tuple[str, ...] = ()
    n_rows: int
    n_scope: int
    n_groups: int
    groups_known: bool
    simulated: bool = False
    warnings: tuple[str, ...] = ()
    labels: dict[str, int] = Field(default_factory=dict)


class RunFacts(_Part):
    """How and when the audit was run. ``trusted`` maps a check to what its phantom test says of it."""

    command: str
    code_version: str
    created_utc: str
    seed: int
    n_draws: int
    engine: str
    seconds: float = 0.0
    split_uses: int = 0
    trusted: dict[str, str] = Field(default_factory=dict)


class Audit(_Part):
    """``audit.json``: the whole audit without its tables and charts, which lie in ``checks/<id>.json``.

    ``metrics`` are those of all checks: ``value``, ``ci_low``, ``ci_high`` and ``n`` by name.
    """

    schema_version: Literal[1] = 1
    kind: Literal["model", "data"]
    model: ModelFacts | None
    data: DataFacts
    run: RunFacts
    checks: tuple[CheckStatus, ...]
    findings: tuple[Finding, ...]
    failed: tuple[FailedCase, ...]
    metrics: dict[str, dict[str, float | None]] = Field(default_factory=dict)
