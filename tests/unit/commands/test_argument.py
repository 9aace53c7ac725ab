"""``whycad argument`` writes a page with the distributions and the figures of held-out cases."""

import numpy as np

from whycad.cli import main
from whycad.registry import discover
from whycad.testing.plugins import TinyPlugin, write_plugin


def test_a_page_with_figures_and_one_without_a_pack(tmp_path, monkeypatch):
    for name in ("tiny", "other"):
        write_plugin(tmp_path / "plugins", TinyPlugin(id=name, title=f"Task {name}"))
    monkeypatch.setattr("whycad.registry.discover", lambda *_: discover([tmp_path / "plugins"]))
    images = np.random.default_rng(0).integers(0, 255, (5, 24, 30, 3), dtype=np.uint8)
    pack = tmp_path / "pack.npz"
    np.savez(pack, images=images, y=np.arange(5) % 3, class_names=np.array(["a", "b", "c"]))
    out = tmp_path / "evidence.md"
    call = ["argument", "--task", "tiny", "--task", "other", "--pack", f"tiny={pack}", "--n", "4", "--out", str(out)]
    assert main(call) == 0
    text = out.read_text()
    assert "--pack tiny=pack.npz --n 4 --out evidence.md`" in text
    assert str(tmp_path) not in text
    assert "pack: 4 cases of 4 groups" in text
    assert "not established" in text
    assert "No labelled pack is known for it" in text
