"""Explanations on a shared pool: the same maps from many threads, nothing left behind, memory returned."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from whycad.explain import METHODS, ExplainOptions, explain
from whycad.explain.state import HOOK_TABLES
from whycad.inference import ModelPool
from whycad.pipeline import analyse
from whycad.plugin import Plugin
from whycad.testing.plugins import TinyPlugin, make_study, write_plugin
from whycad.types import AnalysisRequest, Attribution

CPU = torch.device("cpu")
THREADS, INPUTS, CASES = 8, 60, 50
OPTIONS = ExplainOptions(gradcam_layer="layer1", n_samples=24, ig_steps=6, noise_samples=4, occlusion_window=16)


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Plugin:
    return write_plugin(tmp_path_factory.mktemp("pool"), TinyPlugin(tta=("identity",)))


def left_behind(members: tuple[torch.nn.Module, ...]) -> list[str]:
    """Name every hook, gradient, frozen parameter and change of mode in members that were in eval mode."""
    modules = [(name, module) for member in members for name, module in member.named_modules()]
    found = [f"{table} of {name}" for name, module in modules for table in HOOK_TABLES if getattr(module, table)]
    found += [f"train mode of {name}" for name, module in modules if module.training]
    parameters = [(name, p) for member in members for name, p in member.named_parameters()]
    return found + [f"gradient of {name}" for name, p in parameters if p.grad is not None or not p.requires_grad]


def test_eight_threads_on_a_shared_pool_give_the_maps_of_one(plugin):
    pool = ModelPool()
    inputs = [plugin.preprocess(make_study(seed=seed)) for seed in range(INPUTS)]
    methods = sorted(METHODS)
    gate = threading.Barrier(THREADS)

    def one(index: int) -> Attribution:
        method = methods[index % len(methods)]
        return explain(method, pool.get(plugin, CPU), inputs[index], index % 3, "a", OPTIONS)

    def together(index: int) -> Attribution:
        if index < THREADS:
            gate.wait(timeout=30)
        return one(index)

    alone = [one(index) for index in range(INPUTS)]
    with ThreadPoolExecutor(THREADS) as threads:
        many = list(threads.map(together, range(INPUTS)))
    for first, second in zip(alone, many, strict=True):
        np.testing.assert_allclose(second.map, first.map, atol=1e-6)
        assert second.parameters == first.parameters
    assert len(pool) == 1
    assert left_behind(pool.get(plugin, CPU).members) == []


def tensor_bytes() -> int:
    gc.collect()
    tensors = (thing for thing in gc.get_objects() if type(thing) in {torch.Tensor, torch.nn.Parameter})
    return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}.values())


def test_memory_returns_after_fifty_cases(plugin):
    ensemble = ModelPool().get(plugin, CPU)
    request = AnalysisRequest(explain=("gradcam",))

    def case(seed: int) -> None:
        study = make_study(seed=seed)
        analyse(study, plugin, request, ensemble=ensemble)
        explain("lime", ensemble, plugin.preprocess(study), 0, "a", OPTIONS)

    for seed in range(3):
        case(seed)
    tensors = tensor_bytes()
    tracemalloc.start()
    try:
        case(3)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for seed in range(CASES):
            case(seed)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    # One map that stays is 5 kB or more of every case.
    assert grown < CASES * 2_000
    assert tensor_bytes() <= tensors
    assert left_behind(ensemble.members) == []
