"""Leave a model as it was found, whatever happens in between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

HOOK_TABLES = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
)


@contextmanager
def prepared(model: nn.Module) -> Iterator[nn.Module]:
    """Give a model in eval mode with frozen parameters; then restore everything.

    Hooks that were added meanwhile are removed; train or eval mode of each submodule,
    ``requires_grad`` and ``grad`` of each parameter become what they were. Not for a model
    that another thread is using.
    """
    modules, parameters = list(model.modules()), list(model.parameters())
    modes = [module.training for module in modules]
    hooks = [[dict(getattr(module, table)) for table in HOOK_TABLES] for module in modules]
    gradients = [(parameter.requires_grad, parameter.grad) for parameter in parameters]
    try:
        model.eval()
        for parameter in parameters:
            parameter.requires_grad_(False)
        yield model
    finally:
        for module, training, tables in zip(modules, modes, hooks, strict=True):
            module.training = training
            for name, kept in zip(HOOK_TABLES, tables, strict=True):
                table = getattr(module, name)
                for key in [key for key in table if key not in kept]:
                    del table[key]
        for parameter, (requires_grad, grad) in zip(parameters, gradients, strict=True):
            parameter.requires_grad_(requires_grad)
            parameter.grad = grad
