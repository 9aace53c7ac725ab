"""Weights are trusted or refused; folding, batching and views change nothing; wrong output gives no score."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from whycad import inference
from whycad.engine import Engine, choose_device
from whycad.errors import JobCancelledError, PluginError, PredictionError, WeightsError
from whycad.folding import folded
from whycad.inference import OUT_OF_MEMORY_NOTE, Ensemble, ModelPool, load_members
from whycad.plugin import Plugin, load_plugin
from whycad.testing.plugins import TinyPlugin, write_manifest, write_plugin
from whycad.weights import file_sha256

CPU = torch.device("cpu")
SPEC = TinyPlugin(tta=("identity", "flip_rows", "flip_columns", "flip_both"))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    return write_plugin(tmp_path, SPEC)


def batch(n: int, seed: int = 0) -> Tensor:
    return torch.rand((n, 3, 32, 40), generator=torch.Generator().manual_seed(seed)) * 2 - 1


def declare_again(plugin: Plugin, spec: TinyPlugin = SPEC) -> Plugin:
    """Write the manifest anew with the hashes that the weight files have now."""
    hashes = {f"weights/{path.name}": file_sha256(path) for path in plugin.weights_paths()}
    write_manifest(plugin.folder, spec, hashes)
    return load_plugin(plugin.folder)


class TestLogits:
    def test_shape_dtype_and_values_are_those_of_the_bare_members(self, plugin: Plugin) -> None:
        ensemble = load_members(plugin, CPU)
        x = batch(5)
        logits = ensemble.logits(x)
        assert logits.shape == (2, 4, 5, 3)
        assert logits.dtype == torch.float32
        views = [x, x.flip(-2), x.flip(-1), x.flip((-2, -1))]
        with torch.no_grad():
            bare = torch.stack([torch.stack([member(view) for view in views]) for member in ensemble.members])
        torch.testing.assert_close(logits, bare, atol=1e-5, rtol=1e-4)
        assert not torch.allclose(logits[:, 0], logits[:, 1])

    def test_one_by_one_equals_all_at_once(self, plugin: Plugin, monkeypatch: pytest.MonkeyPatch) -> None:
        ensemble = load_members(plugin, CPU)
        together = ensemble.logits(batch(7))
        monkeypatch.setattr(Ensemble, "batch_size", 3)
        torch.testing.assert_close(ensemble.logits(batch(7)), together, atol=1e-5, rtol=1e-4)

    def test_features_are_of_the_unflipped_batch(self, plugin: Plugin) -> None:
        ensemble = load_members(plugin, CPU)
        output = ensemble.forward(batch(4), with_features=True)
        assert output.features is not None
        assert output.features.shape == (2, 4, 16)
        with torch.no_grad():
            expected = torch.stack(
                [member.get_submodule("head")(f) for member, f in zip(ensemble.members, output.features, strict=True)]
            )
        torch.testing.assert_close(output.logits[:, 0], expected, atol=1e-5, rtol=1e-4)

    def test_features_come_with_the_logits_where_the_net_offers_both(self, tmp_path: Path) -> None:
        source = (
            "from whycad.testing.tiny_net import TinyNet\nclass Net(TinyNet):\n"
            "    def forward_with_features(self, x):\n        f = self.forward_features(x)\n"
            "        return self.head(f), f\n"
            "def build_model(): return Net(3, 3)\n"
        )
        order = ("flip_rows", "identity")
        both = load_members(write_plugin(tmp_path / "a", TinyPlugin(model=source, tta=order)), CPU)
        apart = load_members(write_plugin(tmp_path / "b", TinyPlugin(tta=order)), CPU)
        got, expected = both.forward(batch(3), with_features=True), apart.forward(batch(3), with_features=True)
        torch.testing.assert_close(got.logits, expected.logits)
        torch.testing.assert_close(got.features, expected.features)

    def test_views_can_be_asked_for_instead_of_the_manifests(self, plugin: Plugin) -> None:
        ensemble = load_members(plugin, CPU)
        asked = ensemble.logits(batch(2), views=("flip_both", "identity"))  # asked for instead of all four
        torch.testing.assert_close(asked, ensemble.logits(batch(2))[:, [3, 0]])

    def test_an_empty_batch_gives_no_rows(self, plugin: Plugin) -> None:
        assert load_members(plugin, CPU).logits(batch(0)).shape == (2, 4, 0, 3)

    def test_cancelling_stops_between_passes(self, plugin: Plugin) -> None:
        asked: list[int] = []

        def cancelled() -> bool:
            asked.append(1)
            return len(asked) > 1

        with pytest.raises(JobCancelledError):
            load_members(plugin, CPU).logits(batch(2), cancelled=cancelled)
        assert len(asked) == 2

    @pytest.mark.parametrize("x", [torch.zeros(1, 3, 32, 41), torch.full((1, 3, 32, 40), torch.nan)])
    def test_input_that_cannot_be_is_refused(self, plugin: Plugin, x: Tensor) -> None:
        with pytest.raises(PredictionError):
            load_members(plugin, CPU).logits(x)


EVIDENCE_NET = """
from whycad.testing.tiny_net import TinyNet
class Net(TinyNet):
    def forward_evidence(self, x):
        maps = self.layer1(self.stem(x))
        return {"mask": maps[:, :1].sigmoid(), "size": maps.mean(dim=(1, 2, 3))}
def build_model(): return Net(3, 3)
"""


class TestEvidence:
    def test_every_member_gives_its_outputs_by_name(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        ensemble = load_members(write_plugin(tmp_path, TinyPlugin(model=EVIDENCE_NET)), CPU)
        whole = ensemble.evidence(batch(5))
        assert {name: array.shape for name, array in whole.items()} == {"mask": (2, 5, 1, 8, 10), "size": (2, 5)}
        with torch.no_grad():
            bare = ensemble.members[1].get_submodule("layer1")(ensemble.members[1].get_submodule("stem")(batch(5)))
        torch.testing.assert_close(torch.from_numpy(whole["size"][1]), bare.mean(dim=(1, 2, 3)), atol=1e-5, rtol=1e-4)
        monkeypatch.setattr(Ensemble, "batch_size", 2)
        torch.testing.assert_close(ensemble.evidence(batch(5)), whole, atol=1e-5, rtol=1e-4)

    def test_members_without_it_give_nothing(self, plugin: Plugin) -> None:
        assert load_members(plugin, CPU).evidence(batch(1)) == {}

    @pytest.mark.parametrize(
        ("old", "new", "error", "says"),
        [
            ("return {", "return 3 or {", PluginError, "not a dict"),
            ("maps.mean(dim=(1, 2, 3))", "maps.mean()", PluginError, "one entry per input"),
            ("maps.mean(dim=(1, 2, 3))", "maps.mean(dim=(1, 2, 3)) / 0", PredictionError, "NaN"),
            ("return {", "raise KeyError; return {", PluginError, "KeyError"),
        ],
    )
    def test_what_is_not_evidence_is_refused(
        self, tmp_path: Path, old: str, new: str, error: type[Exception], says: str
    ) -> None:
        broken = EVIDENCE_NET.replace("forward_evidence", "late_evidence").replace(old, new)
        ensemble = load_members(write_plugin(tmp_path, TinyPlugin(model=broken)), CPU)
        for member in (*ensemble.members, *ensemble._engine.members):
            member.forward_evidence = member.late_evidence  # after folding, which would meet the fault first
        with pytest.raises(error, match=says):
            ensemble.evidence(batch(2))

    def test_folding_that_would_change_the_evidence_is_dropped(self) -> None:
        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
                torch.nn.init.constant_(self.norm.bias, 1.0)

            def forward(self, x: Tensor) -> Tensor:
                return self.norm(self.conv(x)).mean(dim=(2, 3))

            def forward_evidence(self, x: Tensor) -> dict[str, Tensor]:
                return {"raw": self.conv(x)}  # without the norm that was folded into it

        net = Net().eval()
        assert folded(net, torch.rand(2, 3, 8, 8)) is net


class TestWeights:
    def test_half_precision_is_widened(self, tmp_path: Path) -> None:
        whole = load_members(write_plugin(tmp_path / "a", SPEC), CPU)
        half = load_members(write_plugin(tmp_path / "b", replace(SPEC, half=True)), CPU)
        assert {p.dtype for p in half.members[0].parameters()} == {torch.float32}
        torch.testing.assert_close(half.logits(batch(2)), whole.logits(batch(2)), atol=5e-3, rtol=1e-2)

    def test_swapped_or_corrupt_files_are_refused(self, plugin: Plugin) -> None:
        first, second = plugin.weights_paths()
        second.write_bytes(first.read_bytes())
        with pytest.raises(WeightsError, match=r"plugin 'tiny' 0\.1\.0.*member1.*hash"):
            load_members(plugin, CPU)

    def test_missing_files_are_refused(self, plugin: Plugin) -> None:
        plugin.weights_paths()[1].unlink()
        with pytest.raises(WeightsError, match="cannot be read"):
            load_members(plugin, CPU)

    def test_a_plugin_without_weights_is_never_run_untrained(self, tmp_path: Path) -> None:
        with pytest.raises(WeightsError, match="no weights"):
            load_members(write_plugin(tmp_path, TinyPlugin(n_members=0)), CPU)

    def test_a_pickle_renamed_is_refused_and_not_unpickled(self, plugin: Plugin, tmp_path: Path) -> None:
        mark = tmp_path / "ran"

        class Bomb:
            def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
                return (Path.touch, (mark,))

        plugin.weights_paths()[0].write_bytes(pickle.dumps(Bomb()))
        with pytest.raises(WeightsError, match="not a safetensors file"):
            load_members(declare_again(plugin), CPU)
        torch.save({"stem.0.weight": torch.zeros(1)}, plugin.weights_paths()[0])
        with pytest.raises(WeightsError, match="not a safetensors file"):
            load_members(declare_again(plugin), CPU)
        assert not mark.exists()

    @pytest.mark.parametrize("keep", [0, 4, 100, -1])
    def test_a_truncated_file_is_refused_even_with_a_matching_hash(self, plugin: Plugin, keep: int) -> None:
        path = plugin.weights_paths()[0]
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(WeightsError, match="not a safetensors file"):
            load_members(declare_again(plugin), CPU)

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            (lambda s: s.pop("head.weight"), "1 tensors missing"),
            (lambda s: s.update(other=torch.zeros(2)), "1 unknown"),
            (lambda s: s.update({"head.weight": torch.zeros(4, 16)}), r"shape \(4, 16\)"),
            (lambda s: s["head.weight"].view(-1)[3:4].fill_(float("nan")), "NaN"),
            (lambda s: s["stem.1.running_var"][:1].fill_(float("inf")), "NaN or infinite"),
            (lambda s: s.update({"head.bias": torch.zeros(3, dtype=torch.int32)}), "int32"),
            (lambda s: s.clear(), "tensors missing"),
        ],
    )
    def test_tensors_must_fit_the_model(
        self, plugin: Plugin, change: Callable[[dict[str, Tensor]], object], problem: str
    ) -> None:
        path = plugin.weights_paths()[0]
        state = {name: tensor.clone() for name, tensor in load_file(path).items()}
        change(state)
        save_file(state, path)
        with pytest.raises(WeightsError, match=problem):
            load_members(declare_again(plugin), CPU)


class TestOutput:
    def net(self, tmp_path: Path, body: str) -> Ensemble:
        source = (
            "import torch\nfrom whycad.testing.tiny_net import TinyNet\nclass Net(TinyNet):\n"
            f"    def forward(self, x):\n        y = super().forward(x)\n        {body}\n"
            "def build_model(): return Net(3, 3)\n"
        )
        return load_members(write_plugin(tmp_path, TinyPlugin(id="oct", model=source)), CPU)

    def test_a_wrong_shape_is_named_with_what_was_declared(self, tmp_path: Path) -> None:
        ensemble = self.net(tmp_path, "return torch.cat([y, y[:, :2]], 1)")
        message = r"plugin 'oct' 0\.1\.0: output shape \(1, 5\), but plugin.toml declares 3 labels"
        with pytest.raises(PluginError, match=message):
            ensemble.logits(batch(2))

    @pytest.mark.parametrize(
        ("body", "problem"),
        [
            ("return y[:1]", r"output shape \(1, 3\)"),
            ("return y[0]", "output shape"),
            ("return (y, y)", "returned tuple"),
            ("return y.argmax(1)", "not a float tensor"),
            ("return None", "returned NoneType"),
            ("raise ValueError('CANARY')", "forward raised ValueError at model.py:6"),
        ],
    )
    def test_other_wrong_outputs_are_plugin_errors(self, tmp_path: Path, body: str, problem: str) -> None:
        with pytest.raises(PluginError, match=problem) as caught:
            self.net(tmp_path, body).logits(batch(2))
        assert "CANARY" not in str(caught.value)

    @pytest.mark.parametrize("value", ["float('nan')", "float('inf')"])
    def test_nan_gives_no_score(self, tmp_path: Path, value: str) -> None:
        with pytest.raises(PredictionError, match=r"plugin 'oct' 0\.1\.0.*no score"):
            self.net(tmp_path, f"y = y.clone(); y[-1, 0] = {value}; return y").logits(batch(2))


class TestFolding:
    def test_norms_behind_convolutions_disappear(self, plugin: Plugin) -> None:
        member = load_members(plugin, CPU).members[0]
        copy = folded(member, batch(2))
        assert copy is not member
        assert not [m for m in copy.modules() if isinstance(m, nn.BatchNorm2d)]
        assert [m for m in member.modules() if isinstance(m, nn.BatchNorm2d)]

    def test_a_convolution_used_twice_stays_unfolded(self) -> None:
        class Shared(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)

            def forward(self, x: Tensor) -> Tensor:
                return self.norm(self.conv(self.conv(x)))  # type: ignore[no-any-return]

        model = Shared().eval()
        assert folded(model, batch(2)) is model

    def test_a_copy_that_differs_is_dropped(self) -> None:
        class Branch(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

            def forward(self, x: Tensor) -> Tensor:
                raw = self.conv(x)  # also used without the norm, so folding would be wrong
                return torch.cat([self.norm(raw), raw], 1).mean((2, 3))

        model = Branch().eval()
        model.norm.running_mean.fill_(3.0)
        assert folded(model, batch(2)) is model


class FullEngine(Engine):
    """A device that has no memory left."""

    def run(self, member: int, function: str, batch: Tensor) -> object:
        raise torch.OutOfMemoryError("CUDA out of memory")


class TestMemory:
    def test_a_full_gpu_is_retried_on_the_cpu_and_labelled(self, plugin: Plugin) -> None:
        ensemble = load_members(plugin, CPU)
        expected = ensemble.logits(batch(2))
        ensemble._engine = FullEngine(ensemble.members, torch.device("cuda", 0), 8)
        torch.testing.assert_close(ensemble.logits(batch(2)), expected)
        assert ensemble.notes == (OUT_OF_MEMORY_NOTE,)
        assert ensemble.runs_on == CPU

    def test_a_full_machine_gives_no_score(self, plugin: Plugin) -> None:
        ensemble = load_members(plugin, CPU)
        ensemble._engine = FullEngine(ensemble.members, CPU, 8)
        with pytest.raises(PredictionError, match="ran out of memory"):
            ensemble.logits(batch(2))


class TestDevice:
    def test_automatic_choice_is_cuda_where_there_is_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        assert choose_device(None) == choose_device("auto") == CPU
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        assert choose_device() == torch.device("cuda", 0)
        assert choose_device("cpu") == CPU

    @pytest.mark.parametrize("name", ["tpu", "cuda:99", "cpu:1", "cuda:x", "<b>", "cuda:-1"])
    def test_devices_that_are_not_there_are_errors(self, name: str) -> None:
        with pytest.raises(PredictionError):
            choose_device(name)


class TestPool:
    def test_a_plugin_is_loaded_once_also_from_many_threads(
        self, plugin: Plugin, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loaded: list[str] = []

        def load(plugin: Plugin, device: torch.device) -> Ensemble:
            loaded.append(plugin.id)
            return load_members(plugin, device)

        monkeypatch.setattr(inference, "load_members", load)
        pool, got = ModelPool(), []
        threads = [threading.Thread(target=lambda: got.append(pool.get(plugin, CPU))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert loaded == ["tiny"]
        assert len(set(map(id, got))) == 1

    def test_the_least_recently_used_goes_first(self, tmp_path: Path) -> None:
        a, b, c = (write_plugin(tmp_path, TinyPlugin(id=name, n_members=1)) for name in "abc")
        pool = ModelPool(capacity=2)
        first, second = pool.get(a, CPU), pool.get(b, CPU)
        pool.get(a, CPU)
        pool.get(c, CPU)
        assert len(pool) == 2
        assert pool.get(a, CPU) is first
        assert pool.get(b, CPU) is not second

    def test_other_weights_are_another_entry(self, tmp_path: Path) -> None:
        pool = ModelPool()
        one = pool.get(write_plugin(tmp_path / "1", TinyPlugin(n_members=1)), CPU)
        assert pool.get(write_plugin(tmp_path / "2", TinyPlugin(n_members=2)), CPU) is not one

    def test_an_ensemble_that_left_its_gpu_is_loaded_anew(self, plugin: Plugin) -> None:
        pool = ModelPool()
        ensemble = pool.get(plugin, CPU)
        ensemble._engine = FullEngine(ensemble.members, torch.device("cuda", 0), 8)
        assert pool.get(plugin, CPU) is not ensemble


def test_explanations_get_copies_that_can_be_hooked_and_differentiated(plugin: Plugin) -> None:
    ensemble = load_members(plugin, CPU)
    copies = ensemble.explain_members()
    x = batch(1).requires_grad_()
    copies[0](x)[0, 1].backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    copies[0].register_forward_hook(lambda *_: 1 / 0)
    assert ensemble.logits(batch(1)).shape == (2, 4, 1, 3)
    assert all(not member.training for member in (*copies, *ensemble.members))


def test_gradients_are_taken_of_copies_of_the_prepared_members(plugin: Plugin) -> None:
    ensemble = load_members(plugin, CPU)
    plain, prepared = ensemble.explain_members(), ensemble.gradient_members()
    for one, other, ready in zip(plain, prepared, ensemble._engine.members, strict=True):
        assert other is not ready
        assert [type(part) for part in other.modules()] == [type(part) for part in ready.modules()]
        torch.testing.assert_close(gradient(other), gradient(one), atol=1e-5, rtol=1e-4)
    prepared[0].register_forward_hook(lambda *_: 1 / 0)
    gradient(ensemble.gradient_members()[0])


def test_a_prepared_member_of_other_gradients_is_left_out(plugin: Plugin) -> None:
    ensemble = load_members(plugin, CPU)
    broken = tuple(nn.Sequential(Detached(), member) for member in ensemble._engine.members)
    ensemble._engine = FullEngine(broken, CPU, 8)
    for one, other in zip(ensemble.members, ensemble.gradient_members(), strict=True):
        torch.testing.assert_close(gradient(other), gradient(one))


class Detached(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.detach()


def gradient(model: nn.Module) -> Tensor:
    x = batch(1).requires_grad_()
    return torch.autograd.grad(model(x)[0, 1], x)[0]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device in this machine")
def test_mixed_precision_on_cuda_agrees_with_the_cpu(plugin: Plugin) -> None:
    x = batch(9)
    on_gpu = load_members(plugin, choose_device("cuda"))
    assert on_gpu.precision == "float16 mixed"
    torch.testing.assert_close(on_gpu.logits(x), load_members(plugin, CPU).logits(x), atol=2e-2, rtol=2e-2)
