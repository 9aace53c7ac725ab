"""A task that looks for a blob, and cases that are being changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from whycad.hooks import Hooks
from whycad.inference import Ensemble, load_members
from whycad.testing.planted import write_blob_task
from whycad.types import AnalysisRequest, Study
from whycad.whatif.request import WhatIfKind, WhatIfRequest
from whycad.whatif.scene import Scene, open_scene


@pytest.fixture(scope="session")
def blob_task(tmp_path_factory: pytest.TempPathFactory) -> Ensemble:
    return load_members(write_blob_task(tmp_path_factory.mktemp("blob")), torch.device("cpu"))


@pytest.fixture(scope="session")
def open_case() -> Callable[[Study, Ensemble], Scene]:
    def opened(study: Study, ensemble: Ensemble) -> Scene:
        return open_scene(study, ensemble, AnalysisRequest(), WhatIfRequest(WhatIfKind.FRAGILITY), Hooks())

    return opened
