"""The report names what is not kept, and gives no number of too few cases."""

from pathlib import Path

import numpy as np
import pytest

from whycad.audit.bootstrap import Estimate
from whycad.audit.bounds import Figure, at_least, at_most
from whycad.audit.coverage import Coverage
from whycad.audit.evaluation_sets import SETS, TASKS, sets_of
from whycad.audit.ood_detection import Detection, Missed
from whycad.audit.uncertainty_report import TaskReport, table, with_interval, write_report
from whycad.manifest import load_manifest
from whycad.testing.plugins import make_calibration
from whycad.types import EvidenceLevel


class _Weights:
    def __init__(self, manifest):
        self.manifest, self.weights_sha256 = manifest, "0" * 64


def sure(value):
    return Estimate(value, (value - 0.01, value + 0.01), 0.005)


@pytest.fixture
def report(repo: Path):
    manifest = load_manifest(repo / "plugins" / "skin_lesion")
    return TaskReport(
        manifest=manifest,
        calibration=make_calibration(_Weights(manifest)),
        dataset="a set",
        n=500,
        n_groups=400,
        n_unscored=2,
        sections={"Ranking": [at_least("AUROC", sure(0.9), 0.93), at_most("mean set size", sure(1.2), 1.4, 2)]},
        classes=[
            Coverage("mel", 100, 90, 0.5, (0.4, 0.6), 0.05, 0.9),
            Coverage("df", 12, 12, 0.8, (0.5, 0.9), 0.1, 0.9),
        ],
        detections={"as they come": [Detection("noise", 60, 3, sure(0.94), sure(0.5), sure(0.9)),
                                     Detection("own images, ruined", 60, 3, sure(0.6), sure(0.1), sure(0.4))]},
        missed=[(Missed("Drusen", 16, 8, sure(0.2), sure(0.4)), 0.3),
                (Missed("Other", 9, 9, sure(0.2), sure(0.2)), None)],
    )  # fmt: skip


def test_what_is_not_kept_is_named(report):
    assert report.unmet() == [
        "AUROC",
        "coverage of mel",
        "OOD AUROC against noise, as they come",
        "missed: Drusen",
    ]


def test_the_report_holds_every_figure_and_its_command(report):
    text = write_report([report], [("liver_fibrosis", "no pack")], "whycad uncertainty --out x.md")
    assert "Written by `whycad uncertainty --out x.md`" in text
    assert "| AUROC | 0.900 (0.890 to 0.910) | at least 0.93 | **no** |" in text
    assert "| mean set size | 1.20 (1.19 to 1.21) | at most 1.4 | yes |" in text
    assert "| mel | 100 | 90 | 0.500 (0.400 to 0.600) | 8.0 | **no** |" in text
    assert "| df | 12 | 12 | not established |  |  |" in text
    assert "**liver_fibrosis** is left out: no pack." in text
    assert "500 cases of 400 groups; 2 more were refused or failed" in text
    assert "Simulated data" not in text


def test_simulated_tasks_say_so(report):
    manifest = report.manifest.model_copy(update={"evidence_level": EvidenceLevel.SIMULATED})
    text = write_report([TaskReport(manifest, report.calibration)], [], "x")
    assert "**Simulated data**" in text


def test_numbers_that_are_not_defined_are_dashes():
    assert with_interval(float("nan"), None) == "-"
    assert with_interval(0.5, None) == "0.500"
    assert Figure("x", np.nan).met is None
    assert table(["a|b"], [["c"]]) == "| a\\|b |\n|---|\n| c |\n"


def test_the_known_sets_belong_to_known_tasks():
    assert {item.task for item in SETS} <= set(TASKS)
    assert [item.role for item in sets_of("retinal_oct")] == ["main", "unseen", "unseen", "unseen"]
    assert sets_of("liver_fibrosis") == ()
