"""Tasks & model cards, About & limits."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import model_cards
from dashboard.model_cards import card_markdown
from whycad.manifest import Manifest, load_manifest
from whycad.plugin import Plugin

CARD = """---
id: skin_lesion
---
# Title

<script>alert(1)</script> and ![pixel](https://evil.example/p.png) and [text](javascript:alert(1))

| a | b |
|:--|:--|
| 1 | 2 |

see www.example.com or https://evil.example :red[now] \u202e
"""


@pytest.fixture(scope="module")
def manifest(repo: Path) -> Manifest:
    return load_manifest(repo / "plugins" / "skin_lesion")


def test_tasks_are_listed_broken_ones_too(app: AppTest) -> None:
    app.switch_page("dashboard/views/tasks.py").run()
    assert not app.exception
    table = next(str(m.value) for m in app.markdown if "| Task |" in str(m.value))
    assert "**Skin lesion\\, 7 classes** | :green[ready]" in table
    assert ":red[unavailable]" in table
    assert r"\<img src\=x" in table
    assert "not for clinical use" in "".join(str(m.value) for m in app.markdown)


def test_limits_are_stated(app: AppTest) -> None:
    app.switch_page("dashboard/views/about.py").run()
    assert not app.exception
    text = "\n".join(str(m.value) for m in app.markdown)
    for said in ("What it is not for", "medical device", "Grad\\-CAM", "Nothing is sent anywhere", "streamlit"):
        assert said in text, said


def test_card_keeps_its_tables_and_loses_what_could_act(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = tmp_path / "card.md"
    card.write_text(CARD, encoding="utf-8")
    monkeypatch.setattr(Plugin, "card_path", lambda _self: card)
    shown = card_markdown(tmp_path, manifest)
    assert "| 1 | 2 |" in shown
    assert "### Title" in shown
    assert "id: skin_lesion" not in shown
    for live in ("<script", "](", "www.", "https:/", " :red[", "\u202e"):
        assert live not in shown, live


def test_missing_or_huge_card_is_no_card(manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = tmp_path / "card.md"
    monkeypatch.setattr(Plugin, "card_path", lambda _self: card)
    assert card_markdown(tmp_path, manifest) == ""
    card.write_text("x" * 100, encoding="utf-8")
    monkeypatch.setattr(model_cards, "MAX_CARD_BYTES", 10)
    assert card_markdown(tmp_path, manifest) == ""
