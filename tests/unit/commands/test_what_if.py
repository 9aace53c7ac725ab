"""``whycad what-if``: says what changes, writes numbers, and names what is wrong."""

import json

import pytest

from whycad.cli import main
from whycad.whatif.result import load_what_ifs


@pytest.fixture
def image(tmp_path, jpegs):
    (tmp_path / "PATIENT.jpg").write_bytes(jpegs[0])
    return tmp_path / "PATIENT.jpg"


def what_if(*arguments):
    return main(["what-if", "--task", "tiny", "--device", "cpu", *map(str, arguments)])


def test_a_region_is_taken_away_and_its_numbers_are_written(tasks, image, tmp_path, capsys):
    out, folder = tmp_path / "o.json", tmp_path / "saved"
    assert what_if(image, "--kind", "region", "--box", "10,10,20,20", "--json", out, "--save", folder) == 0
    (item,) = json.loads(out.read_text())
    assert item["n_pixels"] == 121
    assert sum(item["after"].values()) == pytest.approx(1, abs=1e-4)
    said = capsys.readouterr().out
    assert item["title"] in said
    assert "  A sham of equal size elsewhere " in said
    label = max(item["before"], key=item["before"].get)
    assert item["control_change"] == pytest.approx(item["control"][label] - item["before"][label])
    assert item["change"] == pytest.approx(item["after"][label] - item["before"][label])
    body = json.loads((folder / "result.json").read_text())["result"]
    (saved,) = load_what_ifs(folder, body["study_sha256"], "tiny")
    assert saved.mask.sum() == 121


@pytest.mark.parametrize("kind", ["artefact", "counterfactual", "fragility"])
def test_every_other_kind_says_what_came_of_it(tasks, image, capsys, kind):
    assert what_if(image, "--kind", kind) == 0
    assert capsys.readouterr().out.strip()


def test_what_is_wrong_is_said_without_the_files_name(tasks, image, tmp_path, capsys):
    assert what_if(image, "--kind", "region", "--box", "900,900,950,950") == 1
    assert what_if(image, "--kind", "region") == 1
    assert what_if(image, "--kind", "region", "--box", "1,2,3") == 1
    (image.parent / "PATIENT2.jpg").write_bytes(image.read_bytes()[:-50] + b"\xff" * 50)
    assert what_if(image.parent, "--kind", "fragility") == 1
    captured = capsys.readouterr()
    assert captured.err.count("whycad what-if: ") == 4
    assert "PATIENT" not in captured.err + captured.out
