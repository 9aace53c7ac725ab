"""Methods are read from their files: one that somebody adds is on the researcher's menu, without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from whycad import map_choice, wording
from whycad.manifest import Explain
from whycad.map_choice import cheap_first, methods_for_researchers
from whycad.method_files import METHODS_FOLDER, MethodFile, method_files

THIRD_PARTY = '''
from whycad.explain.perturbation import PerturbationMethod


class Tea:
    """Not the method."""

    id = "tea"


class Leaves(PerturbationMethod):
    """Somebody's own method."""

    id: str = "leaves"
    name = "Tea leaves"
    needs_layer = {needs_layer}


EXPLAINER = Leaves()
'''


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Add a method's file to those that come with WhyCAD."""

    def add(text: str) -> None:
        for path in METHODS_FOLDER.glob("*.py"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
        (tmp_path / "leaves.py").write_text(text)
        found = method_files(tmp_path)
        for module in (map_choice, wording):
            monkeypatch.setattr(module, "method_files", lambda: found)

    return add


def test_a_method_that_somebody_adds_is_on_the_menu_although_no_manifest_names_it(added) -> None:
    before = methods_for_researchers(Explain())
    added(THIRD_PARTY.format(needs_layer=False))
    assert methods_for_researchers(Explain()) == (*before, "leaves")
    assert wording.method_name("leaves") == "Tea leaves"
    assert cheap_first(("leaves", "gradcam")) == ("gradcam", "leaves")


def test_one_that_is_unfit_or_lacks_its_layer_is_not(added) -> None:
    added(THIRD_PARTY.format(needs_layer=True))
    assert "leaves" not in methods_for_researchers(Explain())
    assert "leaves" in methods_for_researchers(Explain(gradcam_layer="layer4"))
    assert "leaves" not in methods_for_researchers(Explain(gradcam_layer="layer4", unfit=("leaves",)))


@pytest.mark.parametrize(
    "text",
    ["EXPLAINER = (", "", "EXPLAINER = make()", "class A:\n    id = 3\n\n\nEXPLAINER = A()", "EXPLAINER = 1", "\0"],
)
def test_what_is_no_method_is_passed_over(text: str, tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(text)
    assert dict(method_files(tmp_path)) == {}


def test_without_a_name_the_id_stands_in(tmp_path: Path) -> None:
    (tmp_path / "bare.py").write_text('class A:\n    id = "bare"\n\n\nEXPLAINER: A = A()\n')
    assert dict(method_files(tmp_path)) == {"bare": MethodFile("bare", "bare")}


def test_the_menu_is_known_without_torch(repo: Path) -> None:
    code = (
        "import sys; from whycad.manifest import Explain; from whycad.map_choice import methods_for_researchers; "
        "print(len(methods_for_researchers(Explain())), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=repo, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["8", "False"]
