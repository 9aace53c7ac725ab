"""Audits of tasks whose answers are known, opened once for all tests of checks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from whycad.audit.context import AuditContext, AuditOptions
from whycad.testing.planted_audit import PlantedPack, open_planted_audit, weights_of

OPTIONS = AuditOptions(n_draws=200, n_perturbed=60, n_explained=60, least_n=10)
# White corners go with the label, as a coloured patch goes with benign lesions.
PACK = PlantedPack(n=60, corners=0.7, corners_below=0.1)


@pytest.fixture(scope="session")
def audits_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("audits")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHYCAD_PLUGINS", str(folder / "tasks"))
        # Finding and checking the real tasks takes longer than the planted ones' passes.
        patch.setattr("whycad.registry.builtin_folder", lambda: folder / "none")
        (folder / "none").mkdir()
        yield folder


@pytest.fixture(scope="session")
def cheat(audits_folder: Path) -> AuditContext:
    """A task that looks at white corners, and a little at the finding."""
    return open_planted_audit(audits_folder, weights_of(3, corners=4), PACK, OPTIONS, id="cheat")


@pytest.fixture(scope="session")
def honest(audits_folder: Path) -> AuditContext:
    """A task that compares the finding with its surroundings and looks at nothing else."""
    return open_planted_audit(audits_folder, weights_of(12, surroundings=-12), PACK, OPTIONS, id="honest")


@pytest.fixture(scope="session")
def dazzled(audits_folder: Path) -> AuditContext:
    """A task that takes a bright picture for a finding."""
    return open_planted_audit(audits_folder, weights_of(12), PACK, OPTIONS, id="dazzled")
