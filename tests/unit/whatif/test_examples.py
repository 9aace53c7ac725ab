"""The fake queue answers what-ifs, so that pages can be tested without workers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from whycad.testing.examples import example_study
from whycad.testing.fake_jobs import FakeQueue
from whycad.testing.plugins import TinyPlugin, write_plugin
from whycad.types import AnalysisRequest, Region
from whycad.whatif.request import WhatIfKind, WhatIfRequest


@pytest.mark.parametrize("kind", list(WhatIfKind))
def test_every_kind_has_an_example(tmp_path: Path, kind: WhatIfKind) -> None:
    manifest = write_plugin(tmp_path, TinyPlugin(labels=("a", "b", "c", "d", "e", "f"))).manifest
    queue, study = FakeQueue(manifest), example_study()
    box = Region((5, 5), (20, 30)) if kind is WhatIfKind.REGION else None
    job = queue.submit_what_if(study, "tiny", AnalysisRequest(), WhatIfRequest(kind, box=box), "me")
    found = queue.status(job, "me").what_if
    assert len(found) == (2 if kind is WhatIfKind.ARTEFACT else 1)
    for item in found:
        assert item.kind is kind
        assert item.mask.shape == study.spatial_shape
        assert item.picture.shape == study.pixels.shape
        assert item.change() < 0
        assert np.isclose(item.after.probabilities.sum(), item.before.probabilities.sum(), atol=1e-5)
