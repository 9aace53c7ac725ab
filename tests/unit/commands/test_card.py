"""``whycad card`` writes the header, keeps the prose and notices a stale card."""

import shutil

import pytest

from whycad.cli import main


@pytest.fixture
def folder(task_folder, tmp_path, monkeypatch):
    shutil.copytree(task_folder, tmp_path / "plugins")
    monkeypatch.setenv("WHYCAD_PLUGINS", str(tmp_path / "plugins"))
    (tmp_path / "plugins" / "tiny" / "card.md").write_text("---\nid: old\n---\n# By hand\n\nProse --- stays.\n")
    return tmp_path / "plugins" / "tiny"


def test_the_header_is_fresh_and_the_prose_stays(folder, capsys):
    assert main(["card", "--task", "tiny", "--check"]) == 1
    assert "stale" in capsys.readouterr().err
    assert main(["card", "--task", "tiny"]) == 0
    text = (folder / "card.md").read_text()
    assert text.endswith("---\n# By hand\n\nProse --- stays.\n")
    assert "id: tiny\n" in text
    assert main(["card", "--task", "tiny", "--check"]) == 0


def test_writing_twice_changes_nothing(folder):
    main(["card", "--task", "tiny"])
    first = (folder / "card.md").read_text()
    main(["card", "--task", "tiny"])
    assert (folder / "card.md").read_text() == first


def test_new_figures_make_the_card_stale(folder):
    main(["card", "--task", "tiny"])
    (folder / "performance.json").write_text(
        '{"dataset": "Made", "metrics": {"accuracy": {"value": 0.5, "interval": [0.4, 0.6]}}}'
    )
    assert main(["card", "--task", "tiny", "--check"]) == 1
    assert main(["card", "--task", "tiny"]) == 0
    assert main(["card", "--task", "tiny", "--check"]) == 0


def test_broken_figures_are_a_plain_error_and_the_card_stays(folder, capsys):
    before = (folder / "card.md").read_text()
    (folder / "performance.json").write_text("{")
    assert main(["card", "--task", "tiny"]) == 1
    assert "'performance.json' cannot be read" in capsys.readouterr().err
    assert (folder / "card.md").read_text() == before


def test_an_untrained_task_has_a_card_too(folder):
    assert main(["card", "--task", "raw"]) == 0
    # Without a card of its own in the folder, it is the one beside the folder of plugins.
    assert "ensemble_members: 0" in (folder.parent.parent / "card.md").read_text()
