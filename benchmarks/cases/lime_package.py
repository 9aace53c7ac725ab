"""LIME against the ``lime`` package: same seed, segments, fill, network; coefficients within 1e-5.

The package runs twice: on the network as its users have it, eager and contiguous, and on the
very engine that ours runs on, folded and channels last, which leaves only what surrounds the
network: next to nothing beside a ResNet-18 at 224 px, most of the time beside a small net.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from unittest import mock

import numpy as np
import torch
from lime.lime_image import LimeImageExplainer
from numpy.typing import NDArray
from torch import nn

from benchmarks.case import Case, interleaved
from benchmarks.nets import Free, Probabilities, ResNet18, Small, made, picture
from whycad.explain import ExplainOptions
from whycad.explain.base import fitted_batch
from whycad.explain.lime import fit_lime
from whycad.explain.segment_masks import segment_means
from whycad.explain.superpixels import Segments, grid_segments, superpixels
from whycad.folding import folded

TOLERANCE = 1e-5
PACKAGE_BATCH = 10


@dataclass(frozen=True)
class Setting:
    """One comparison: a network, an image size, how many samples and segments.

    ``same_engine`` gives the package a channels-last network too.
    """

    net: type[nn.Module]
    side: int
    n_samples: int
    n_segments: int = 0
    rounds: int = 3
    same_engine: bool = True


def package(
    model: nn.Module, layout: torch.memory_format, image: NDArray[np.float32], segments: Segments, n_samples: int
) -> NDArray[np.float64]:
    """Return the package's coefficients ``(K, 7)``."""

    def classify(batch: NDArray[np.float32]) -> NDArray[np.float64]:
        with torch.inference_mode():
            images = torch.from_numpy(batch).permute(0, 3, 1, 2).contiguous(memory_format=layout)
            return model(images).numpy().astype(np.float64)

    explainer = LimeImageExplainer(random_state=0, feature_selection="none")
    explanation = explainer.explain_instance(
        np.ascontiguousarray(np.moveaxis(image, 0, -1)),
        classify,
        top_labels=7,
        num_samples=n_samples,
        batch_size=PACKAGE_BATCH,
        segmentation_fn=lambda _image: segments,
    )
    coefficients = np.zeros((int(segments.max()) + 1, 7))
    for label, pairs in explanation.local_exp.items():
        for segment, weight in pairs:
            coefficients[segment, label] = weight
    return coefficients


def ours(model: nn.Module, image: NDArray[np.float32], segments: Segments, n_samples: int) -> NDArray[np.float64]:
    """Return our coefficients ``(K, 7)``; hiding is part of the work."""
    hidden = segment_means(image, segments)
    return fit_lime(model, image, hidden, segments, ExplainOptions(n_samples=n_samples)).coefficients


def prepared(setting: Setting) -> tuple[nn.Module, NDArray[np.float32], Segments]:
    """Return the network as the product runs it (folded, channels last), the image and its segments."""
    image = picture(setting.side)
    shape = image.shape[1:]
    segments = grid_segments(shape, setting.n_segments) if setting.n_segments else superpixels(image)[0]
    engine = folded(made(setting.net), torch.from_numpy(image)[None]).to(memory_format=torch.channels_last)
    return Probabilities(engine).eval(), image, segments


def against_package(setting: Setting) -> float:
    """Return the package's time over ours, after a check that both find the same."""
    model, *arguments = (*prepared(setting), setting.n_samples)
    if setting.same_engine:
        theirs = partial(package, model, torch.channels_last, *arguments)
    else:
        plain = Probabilities(made(setting.net)).eval().to(memory_format=torch.contiguous_format)
        theirs = partial(package, plain, torch.contiguous_format, *arguments)
    own = partial(ours, model, *arguments)
    with mock.patch("lime.lime_image.tqdm", lambda rows: rows):
        np.testing.assert_allclose(own(), theirs(), atol=TOLERANCE)
        return interleaved(theirs, own, rounds=setting.rounds, warm_up=False)


def against_forwards(setting: Setting) -> float:
    """Return our time over that of the network alone on as many images in batches of the same size."""
    model, image, segments = prepared(setting)
    size = fitted_batch(image.shape[1:], torch.device("cpu"))
    batch = torch.from_numpy(image).expand(size, *image.shape).contiguous(memory_format=torch.channels_last)

    def forwards() -> None:
        with torch.inference_mode():
            for start in range(0, setting.n_samples, size):
                model(batch[: min(size, setting.n_samples - start)])

    return interleaved(partial(ours, model, image, segments, setting.n_samples), forwards, rounds=setting.rounds)


def cases() -> list[Case]:
    """Return the comparisons; a ratio to the package is at least its bound."""
    large, small = Setting(ResNet18, 224, 60), Setting(Small, 64, 1000)
    free, few = Setting(Free, 224, 300), Setting(Small, 64, 1000, n_segments=4)

    def case(name: str, bound: float, measure: Callable[[Setting], float], setting: Setting) -> Case:
        return Case(name, bound, partial(measure, setting), at_least=measure is against_package)

    plain_large, plain_small = replace(large, same_engine=False), replace(small, same_engine=False)
    return [
        case("LIME 224 px, ResNet-18: lime package on eager NCHW / ours", 1.2, against_package, plain_large),
        case("LIME 64 px, small net: lime package on eager NCHW / ours", 2.0, against_package, plain_small),
        case("LIME 224 px, ResNet-18: lime package on the same engine / ours", 0.95, against_package, large),
        case("LIME 64 px, small net: lime package on the same engine / ours", 2.0, against_package, small),
        case("LIME 224 px, free classifier: lime package / ours", 2.0, against_package, free),
        case("LIME 64 px, 4 segments: lime package / ours", 10.0, against_package, few),
        case("LIME 224 px, ResNet-18: ours / its forwards alone", 1.10, against_forwards, large),
        case("LIME 64 px, small net: ours / its forwards alone", 1.5, against_forwards, small),
    ]
