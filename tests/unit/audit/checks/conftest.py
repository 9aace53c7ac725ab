"""What checks are tested on: planted tasks, simulated answers with planted faults, fabricated data sets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from whycad.audit.checks import load_check
from whycad.audit.context import AuditContext, AuditOptions
from whycad.audit.data.dataset import DatasetRef
from whycad.audit.findings import CheckResult, Finding, Severity
from whycad.audit.run.engine import EngineOptions
from whycad.testing.audits import AuditRecipe, simulated_context
from whycad.testing.planted_audit import PlantedPack, open_planted_audit, weights_of

OPTIONS = AuditOptions(n_draws=100, n_perturbed=44, n_explained=44, least_n=10)
# White corners go with the label, as a coloured patch goes with benign lesions.
PACK = PlantedPack(n=44, corners=0.7, corners_below=0.1)


WORRYING = (Severity.WARNING, Severity.CRITICAL)
FEW_DRAWS = AuditOptions(n_draws=150)
FAULTS = AuditRecipe(
    n=1000, ruler_share=(0.75, 0.2), ruler_use=2.0, weak_site=0.9, sharpness=2.5, ruler_in_features=3.0,
    options=FEW_DRAWS,
)  # fmt: skip


@contextmanager
def only_planted(folder: Path) -> Iterator[None]:
    """Offer the planted tasks alone: finding and checking the real ones takes longer than the planted ones' passes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHYCAD_PLUGINS", str(folder / "tasks"))
        patch.setattr("whycad.registry.builtin_folder", lambda: folder / "none")
        yield


@pytest.fixture(scope="session")
def audits_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audits")
    (folder / "none").mkdir()
    return folder


@pytest.fixture(autouse=True)
def planted_tasks(audits_folder: Path) -> Iterator[None]:
    with only_planted(audits_folder):
        yield


@pytest.fixture(scope="session")
def cheat(audits_folder: Path) -> AuditContext:
    """A task that looks at white corners, and a little at the finding."""
    with only_planted(audits_folder):
        return open_planted_audit(audits_folder, weights_of(3, corners=4), PACK, OPTIONS, id="cheat")


@pytest.fixture(scope="session")
def honest(audits_folder: Path) -> AuditContext:
    """A task that compares the finding with its surroundings and looks at nothing else."""
    with only_planted(audits_folder):
        return open_planted_audit(audits_folder, weights_of(12, surroundings=-12), PACK, OPTIONS, id="honest")


@pytest.fixture(scope="session")
def dazzled(audits_folder: Path) -> AuditContext:
    """A task that takes a bright picture for a finding."""
    with only_planted(audits_folder):
        return open_planted_audit(audits_folder, weights_of(12), PACK, OPTIONS, id="dazzled")


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    return simulated_context(AuditRecipe(n=700, options=FEW_DRAWS, seed=1), tmp_path_factory.mktemp("clean"))


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    return simulated_context(FAULTS, tmp_path_factory.mktemp("faulty"))


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    recipe = AuditRecipe(n=130, columns=("ruler",), options=AuditOptions(n_draws=50))
    return simulated_context(recipe, tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return simulated_context(AuditRecipe(n=20, options=FEW_DRAWS), tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def checked():
    """Run a check, and assert what holds for the result of every check."""

    def run(name, context) -> CheckResult:
        result = load_check(name).run(context)
        assert CheckResult.model_validate_json(result.model_dump_json()) == result
        assert result.check == name
        assert result.method
        assert result.references
        assert result.findings
        known = set(context.cases.ids)
        for finding in result.findings:
            assert finding.check == name
            assert finding.message.endswith((".", ")"))
            assert "nan" not in finding.message
            assert set(finding.cases) <= known
            if finding.ci_low is not None and finding.ci_high is not None:
                assert finding.ci_low <= finding.ci_high
        for table in result.tables:
            assert all(len(row) == len(table.columns) for row in table.rows)
            assert table.cases in ((),) or len(table.cases) == len(table.rows)
        return result

    return run


@pytest.fixture
def worries():
    """Return the findings that ask for a look."""
    return lambda result: [finding for finding in result.findings if finding.severity in WORRYING]


SIDE = 32
N_DRAWS = 100


@dataclass(frozen=True)
class Audited:
    """A data set with its audit's context."""

    context: AuditContext

    def result(self, check: str) -> CheckResult:
        return load_check(check).run(self.context)

    def about(self, check: str, column: str) -> list[Finding]:
        return [finding for finding in self.result(check).findings if finding.column == column]

    def worst(self, check: str) -> Severity:
        order = [Severity.OK, Severity.UNKNOWN, Severity.WARNING, Severity.CRITICAL]
        return max((finding.severity for finding in self.result(check).findings), key=order.index)


@pytest.fixture(scope="session")
def textures():
    """Return n grey pictures of smooth noise, uint8 ``(n, SIDE, SIDE)``."""

    def made(n: int, seed: int = 0, level: float = 120.0, sigma: float = 1.5) -> np.ndarray:
        generator = np.random.default_rng(seed)
        noise = gaussian_filter(generator.normal(size=(n, SIDE, SIDE)), (0, sigma, sigma))
        pictures = level + 25 * noise / noise.std() + generator.normal(0, 8, (n, 1, 1))
        return np.clip(pictures, 0, 255).astype(np.uint8)

    return made


@pytest.fixture
def pack(tmp_path: Path):
    """Write arrays as a pack and open it."""

    def opened(**arrays) -> Audited:
        path = tmp_path / "set.npz"
        np.savez(path, **arrays)
        ref = DatasetRef(path)
        dataset = ref.open()
        options = AuditOptions(n_draws=N_DRAWS)
        engine = EngineOptions(tmp_path / "cache")
        return Audited(AuditContext(ref, dataset, np.arange(len(dataset.cases)), options, engine, tmp_path))

    return opened


@pytest.fixture(autouse=True)
def small_forests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tests quick; a few trees tell what is planted."""
    monkeypatch.setattr("whycad.audit.trivial.N_TREES", 15)
