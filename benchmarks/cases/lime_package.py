"""LIME against the ``lime`` package and against its own forward passes: same draws, segments, fill and network.

The package runs on the network as its users have it, eager and contiguous, in a process of its
own; ours on the engine of the product, folded and channels last. Coefficients agree within 1e-5.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from unittest import mock

import numpy as np
import torch
from lime.lime_image import LimeImageExplainer
from numpy.typing import NDArray
from torch import nn

from benchmarks.case import Case, Work, between_processes, interleaved
from benchmarks.nets import Free, Probabilities, ResNet18, Small, as_the_product_runs_it, made, model_input, picture
from whycad.batching import fitted_batch
from whycad.explain import ExplainOptions
from whycad.explain.lime import draw_masks, fit_lime, fit_segments
from whycad.explain.segment_masks import SegmentedImage, segment_means
from whycad.explain.superpixels import Segments, grid_segments, superpixels

TOLERANCE = 1e-5
PACKAGE_BATCH = 10


@dataclass(frozen=True)
class Setting:
    """One comparison: a network, an image size, how many samples and segments.

    ``n_segments`` is a number of stripes; 0 is SLIC fitted to the resolution. ``cut_anew`` makes
    the cutting part of the work, of both sides.
    """

    net: type[nn.Module]
    side: int
    n_samples: int
    n_segments: int = 0
    rounds: int = 3
    cut_anew: bool = False


def segments_of(setting: Setting) -> Segments:
    """Return the segments that both sides use."""
    if setting.n_segments:
        return grid_segments((setting.side,), setting.n_segments)[:, None].repeat(setting.side, axis=1)
    return superpixels(picture(setting.side))[0]


def package(setting: Setting) -> Work:
    """Return the package's work; it gives coefficients ``(K, 7)``."""
    model = Probabilities(made(setting.net)).eval().to(memory_format=torch.contiguous_format)
    segments = segments_of(setting)
    image = np.ascontiguousarray(np.moveaxis(picture(setting.side), 0, -1))

    def classify(batch: NDArray[np.float32]) -> NDArray[np.float64]:
        with torch.inference_mode():
            return model(torch.from_numpy(batch).permute(0, 3, 1, 2).contiguous()).numpy().astype(np.float64)

    def cut(_image: object) -> Segments:
        return segments_of(setting) if setting.cut_anew else segments

    def work() -> NDArray[np.float64]:
        explainer = LimeImageExplainer(random_state=0, feature_selection="none")
        with mock.patch("lime.lime_image.tqdm", lambda rows: rows):
            explanation = explainer.explain_instance(
                image,
                classify,
                top_labels=7,
                num_samples=setting.n_samples,
                batch_size=PACKAGE_BATCH,
                segmentation_fn=cut,
            )
        return dense(explanation.local_exp, int(segments.max()) + 1)

    return work


def dense(explained: dict[int, list[tuple[int, float]]], n_segments: int) -> NDArray[np.float64]:
    """Return the package's pairs of segment and weight by label as an array ``(K, 7)``."""
    coefficients = np.zeros((n_segments, 7))
    for label, pairs in explained.items():
        for segment, weight in pairs:
            coefficients[segment, label] = weight
    return coefficients


def ours(setting: Setting) -> Work:
    """Return our work; it gives coefficients ``(K, 7)``. Hiding is part of it."""
    model, image = as_the_product_runs_it(setting.net, setting.side), picture(setting.side)
    options = ExplainOptions(n_samples=setting.n_samples, fill="mean")
    segments = segments_of(setting)

    def work() -> NDArray[np.float64]:
        used = segments_of(setting) if setting.cut_anew else segments
        return fit_lime(model, image, segment_means(image, used), used, options).coefficients

    return work


def explained_again(setting: Setting) -> Work:
    """Return our work on an input that has been explained before: its segments are known."""
    model, inputs = as_the_product_runs_it(setting.net, setting.side), model_input(setting.side)
    options = ExplainOptions(n_samples=setting.n_samples, fill="mean")
    return lambda: fit_segments(model, SegmentedImage.of(inputs, options), options).coefficients


def against_package(setting: Setting) -> float:
    """Return the package's time over ours."""
    return between_processes(
        partial(package, setting), partial(ours, setting), rounds=setting.rounds, tolerance=TOLERANCE
    )


def cached_against_package(setting: Setting) -> float:
    """Return the package's time over ours where both have the segments already."""
    return between_processes(
        partial(package, setting), partial(explained_again, setting), rounds=setting.rounds, tolerance=TOLERANCE
    )


def few_against_package(setting: Setting) -> float:
    """Return the package's time over ours; each distinct mask is one image for the model, and no more."""
    model, image = as_the_product_runs_it(setting.net, setting.side), picture(setting.side)
    seen: list[int] = []
    model.register_forward_pre_hook(lambda _module, inputs: seen.append(len(inputs[0])))
    segments = segments_of(setting)
    fit = fit_lime(model, image, segment_means(image, segments), segments, ExplainOptions(n_samples=setting.n_samples))
    n_distinct = len(np.unique(draw_masks(setting.n_samples, setting.n_segments, 0), axis=0))
    assert sum(seen) == fit.n_evaluated == n_distinct, "a mask was scored more than once"
    return against_package(setting)


def against_forwards(setting: Setting) -> float:
    """Return our time over that of the network alone on as many images in batches of the same size."""
    model, image = as_the_product_runs_it(setting.net, setting.side), picture(setting.side)
    size = fitted_batch(image.shape[1:], torch.device("cpu"), model)
    batch = torch.from_numpy(image).expand(size, *image.shape).contiguous(memory_format=torch.channels_last)

    def forwards() -> None:
        with torch.inference_mode():
            for start in range(0, setting.n_samples, size):
                model(batch[: min(size, setting.n_samples - start)])

    return interleaved(ours(setting), forwards, rounds=setting.rounds)


def cases() -> list[Case]:
    """Return the comparisons; a ratio to the package is at least its bound."""
    large, small = Setting(ResNet18, 224, 60), Setting(Small, 64, 1000, rounds=7)
    free, few = Setting(Free, 224, 300), Setting(Small, 64, 1000, n_segments=4, rounds=7)
    eight = Setting(Free, 64, 1000, n_segments=8, rounds=7)
    anew = replace(free, cut_anew=True)
    return [
        Case("LIME 224 px, ResNet-18: / its forward passes alone", 1.10, partial(against_forwards, large)),
        Case("LIME 224 px, ResNet-18: lime package / ours", 1.2, partial(against_package, large), at_least=True),
        Case("LIME 224 px, free classifier: lime package / ours", 2.0, partial(against_package, anew), at_least=True),
        Case(
            "LIME 224 px, free classifier, segments known: lime package / ours",
            2.5,
            partial(cached_against_package, free),
            at_least=True,
        ),
        Case("LIME 64 px, SLIC, small net: / its forward passes alone", 1.5, partial(against_forwards, small)),
        Case("LIME 64 px, SLIC, small net: lime package / ours", 2.0, partial(against_package, small), at_least=True),
        Case(
            "LIME 64 px, 4 segments, small net: lime package / ours",
            10.0,
            partial(few_against_package, few),
            at_least=True,
        ),
        Case(
            "LIME 64 px, 8 segments, free classifier: lime package / ours",
            10.0,
            partial(few_against_package, eight),
            at_least=True,
        ),
    ]
