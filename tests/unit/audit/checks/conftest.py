"""Fabricated data sets whose faults are known, as packs, and their audits."""

from __future__ import annotations

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
