"""``whycad audit-data`` from end to end, on folders and tables of every quality."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from whycad.audit.findings import Severity
from whycad.audit.run.runner import read_audit
from whycad.cli import main


def picture(seed: int, sigma: float = 1.5, level: float = 120) -> Image.Image:
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(24, 24)), sigma)
    return Image.fromarray(np.clip(level + 25 * noise / noise.std(), 0, 255).astype(np.uint8))


def audit(capsys: pytest.CaptureFixture[str], dataset: Path, out: Path, *more: str) -> tuple[int, str]:
    status = main(["audit-data", "--dataset", str(dataset), "--out", str(out), "--draws", "50", *more])
    said = capsys.readouterr()
    return status, said.out + said.err


def test_class_folders_of_two_sources_are_accused_plainly(tmp_path, capsys):
    for seed in range(35):
        for label, sigma, level in (("F0", 1.0, 120), ("F2", 3.0, 80)):
            folder = tmp_path / "set" / label
            folder.mkdir(parents=True, exist_ok=True)
            picture(seed + 100 * len(label) * int(sigma), sigma, level).save(folder / f"{label}_{seed:03d}.png")
    status, said = audit(capsys, tmp_path / "set", tmp_path / "out", "--checks", "label_by_source,outlier")
    assert status == 0
    assert "Labels follow the source" in said
    found = read_audit(tmp_path / "out")
    assert found.data.kind == "folder"
    assert found.data.n_rows == 70
    assert {check.status for check in found.checks} <= {"done", "skipped"}
    assert any(f.check == "label_by_source" and f.severity is Severity.CRITICAL for f in found.findings)


def test_a_table_with_bad_rows_is_audited_and_the_bad_rows_are_listed(tmp_path, capsys):
    names = []
    for seed in range(12):
        picture(seed).save(tmp_path / f"{seed}.png")
        names.append(f"{seed}.png,{'ab'[seed % 2]},{20 + seed}.5")
    (tmp_path / "text.png").write_text("this is no picture, whatever its name says, and it is long enough")
    bad = ["absent.png,a,1.5", "../../secret.png,b,=1+1", "text.png,a," + "x" * 1_000_000, "one,two,three,four"]
    (tmp_path / "t.csv").write_text("\n".join(["image,label,age", *names, *bad]) + "\n")
    status, said = audit(capsys, tmp_path / "t.csv", tmp_path / "out")
    assert status == 0
    found = read_audit(tmp_path / "out")
    assert found.data.n_rows == 16
    assert [item.row for item in found.failed] == [12, 13, 14, 15]
    assert "4 cases failed" in said
    assert not any(word in said + json.dumps(found.model_dump(mode="json")) for word in ("xxxxx", "=1+1"))


def test_three_rows_of_one_class_are_not_enough_and_are_said_so(tmp_path, capsys):
    for seed in range(3):
        picture(seed).save(tmp_path / f"{seed}.png")
    (tmp_path / "t.csv").write_text("image,label,age\n0.png,a,1\n1.png,a,2\n2.png,a,nan\n")
    status, _ = audit(capsys, tmp_path / "t.csv", tmp_path / "out")
    assert status == 0
    found = read_audit(tmp_path / "out")
    assert not any(
        f.severity in (Severity.WARNING, Severity.CRITICAL) for f in found.findings if f.check != "missing_metadata"
    )
    assert any(check.status == "skipped" and "two labels" in check.why for check in found.checks)


@pytest.mark.parametrize(
    ("content", "said"), [("", "is empty"), ("a,b\n1,2\n", "no column 'image'"), ("image,image\n1,2\n", "twice")]
)
def test_an_unusable_table_is_an_error_in_a_sentence(tmp_path, capsys, content, said):
    (tmp_path / "t.csv").write_text(content)
    status, told = audit(capsys, tmp_path / "t.csv", tmp_path / "out")
    assert status == 1
    assert said in told
    assert "Traceback" not in told
