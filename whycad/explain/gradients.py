"""What gradient methods share: gradients in fitted chunks, one kind of failure, deltas in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from whycad.batching import fitted_batch
from whycad.errors import ExplanationError
from whycad.explain.base import ExplainOptions, channels_last, check_target

LARGE_DELTA = 0.05
SMALLEST_CHANGE = 1e-6

Draw = Callable[[int, int], tuple[Tensor, Tensor]]


@contextmanager
def differentiating(name: str) -> Iterator[None]:
    """Turn what autograd raises into an ExplanationError that names the method; lack of memory stays as it is."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, AssertionError) as error:
        raise ExplanationError(f"{name} cannot differentiate this model ({type(error).__name__})") from error


def checked_logits(model: nn.Module, target: int) -> Callable[[Tensor], Tensor]:
    """Wrap a model for captum: an output without the target column is an ExplanationError."""

    def logits(batch: Tensor) -> Tensor:
        output: Tensor = model(channels_last(batch))
        check_target(output, target)
        return output

    return logits


def gradients(model: nn.Module, points: Tensor, target: int) -> Tensor:
    """Return the gradient of one logit at each point.

    Parameters
    ----------
    model : torch.nn.Module
        Prepared, see ``whycad.explain.state.prepared``.
    points : Tensor (n, C, *shape)
    target : int

    Returns
    -------
    Tensor (n, C, *shape)
    """
    from captum.attr import Saliency

    points = points.detach().requires_grad_()
    values: Tensor = Saliency(checked_logits(model, target)).attribute(points, target, abs=False)
    return values.detach()


def mean_over_draws(model: nn.Module, image: Tensor, draw: Draw, target: int, options: ExplainOptions) -> Tensor:
    """Average gradient times factor over ``options.noise_samples`` draws, chunk by chunk.

    Parameters
    ----------
    model : torch.nn.Module
        Prepared.
    image : Tensor (1, C, *shape)
    draw : callable
        ``draw(start, stop)`` gives, for these draws, points ``(b, C, *shape)`` and factors of that
        shape or one that broadcasts to it; it is called in order.
    target : int
    options : ExplainOptions
        ``noise_samples``, ``batch_size``, ``progress``, ``cancelled``.

    Returns
    -------
    Tensor of float64 (C, *shape)

    Raises
    ------
    ExplanationError
        When there are no draws.
    """
    n = options.noise_samples
    if n < 1:
        raise ExplanationError(f"{n} draws are too few", remedy="ask for at least one noise sample")
    size = options.batch_size or fitted_batch(image.shape[2:], image.device, model)
    total = torch.zeros(image.shape[1:], dtype=torch.float64, device=image.device)
    for start in range(0, n, size):
        options.check_cancelled()
        stop = min(n, start + size)
        points, factors = draw(start, stop)
        total += (gradients(model, points, target) * factors).sum(dim=0, dtype=torch.float64)
        options.progress(stop / n)
    return total / n


def relative_delta(total: float, change: float) -> float:
    """Return how far a map's sum is from the change in output, as a share of the change."""
    return (total - change) / max(abs(change), SMALLEST_CHANGE)


def delta_remarks(delta: float) -> tuple[str, ...]:
    """Return what the reader must know about a relative convergence delta."""
    if abs(delta) <= LARGE_DELTA:
        return ()
    return (f"The map adds up to the change in output only to within {abs(delta):.0%}.",)
