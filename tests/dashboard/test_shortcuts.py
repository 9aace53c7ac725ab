"""Audited shortcuts in the image on show: one line on the decision card, more in the Checks tab."""

from __future__ import annotations

from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import cache
from dashboard.components.shortcuts import without_words
from dashboard.state import KEY, OpenCase
from whycad.audit.case_lines import summary_of
from whycad.testing.examples import example_result, example_study
from whycad.testing.fake_jobs import FakeQueue
from whycad.testing.sample_audit import sample_audit
from whycad.types import AnalysisResult
from whycad.whatif.request import WhatIfKind
from whycad.whatif.result import WhatIf


def words(app: AppTest) -> str:
    return "\n".join(str(m.value) for kind in (app.markdown, app.caption) for m in kind).replace("\\", "")


def open_case(app: AppTest) -> None:
    app.session_state[KEY].open(OpenCase("case", "A case", example_study(), "sample", task="skin_lesion"))
    app.session_state["case-tabs"] = "Checks"
    app.run()
    app.run()
    assert not app.exception


@pytest.fixture
def patch_found(queue: FakeQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = queue._result

    def with_patch(asked: object) -> AnalysisResult:
        return replace(whole(asked), artefacts=("patches",))  # type: ignore[arg-type]

    monkeypatch.setattr(queue, "_result", with_patch)


@pytest.fixture
def audited(monkeypatch: pytest.MonkeyPatch) -> None:
    summary = summary_of(sample_audit())
    monkeypatch.setattr(cache, "audit_summary", lambda _folder: summary)


@pytest.mark.usefixtures("patch_found", "audited")
def test_a_shortcut_is_named_worded_and_taken_away_on_demand(app: AppTest, queue: FakeQueue) -> None:
    open_case(app)
    said = words(app)
    assert "| Shortcuts in this image | **coloured patch** |" in said
    assert "16 times rarer with one (odds ratio 0.06 (0.02 to 0.19))" in said
    assert "From the audit on Simulated lesions, val split, 2026-01-02. Simulated data." in said
    app.button(key="without-0").click().run()
    assert (queue.changes[-1].kind, queue.changes[-1].artefact) == (WhatIfKind.ARTEFACT, "patches")


@pytest.mark.usefixtures("audited")
def test_an_image_without_any_says_so(app: AppTest) -> None:
    open_case(app)
    assert "| Shortcuts in this image | **none of those that the audit found** |" in words(app)


@pytest.mark.usefixtures("patch_found")
def test_without_an_audit_the_page_says_so(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "audit_summary", lambda _folder: None)
    open_case(app)
    assert words(app).count("not audited yet") == 2


def test_what_the_model_says_without_it_is_worded(queue: FakeQueue) -> None:
    study = example_study()
    before = example_result(study, queue.manifest, queue.options).prediction
    after = replace(before, probabilities=before.probabilities[::-1].copy())
    change = WhatIf(
        WhatIfKind.ARTEFACT, "t", study.pixels[..., 0] > 2, study.pixels, before, after, True, name="patches"
    )
    said = without_words(change, queue.manifest)
    assert said.startswith("Without it the probability of Melanoma is ")
    assert said.endswith(" instead of 71 %.")
