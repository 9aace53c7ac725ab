"""An ensemble as one differentiable score: how far the predicted label is ahead of the next.

Gradients go through own copies of the members, over the views that are served, up to the
calibration's matrix and offset. Its isotonic maps, which gradients cannot pass, and its floor, which
flattens them, are left out of the score alone: whether an answer has moved is always asked of the
served ensemble.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from whycad.engine import view_of
from whycad.explain.base import channels_last
from whycad.explain.gradients import differentiating

if TYPE_CHECKING:
    from whycad.whatif.scene import Setting

LEAST_PRIOR = 1e-6


class Lead:
    """How far one label is ahead, as a difference of log scores; 0 where another one takes over.

    Parameters
    ----------
    setting : Setting
    """

    def __init__(self, setting: Setting) -> None:
        ensemble, calibration, manifest = setting.ensemble, setting.calibration, setting.ensemble.plugin.manifest
        self._members = [member.eval().requires_grad_(False) for member in ensemble.explain_members()]
        self._views = ensemble.views
        self.device = ensemble.device
        rule, codes = manifest.decision, manifest.label_codes
        weight = torch.tensor([rule.class_weights.get(code, 1.0) for code in codes], device=self.device)
        prior = torch.tensor(calibration.prior, device=self.device).clamp_min(LEAST_PRIOR)
        self._bonus = weight.clamp_min(LEAST_PRIOR).log() - rule.balance_power * prior.log()
        self._shift = torch.tensor(calibration.log_prior_shift, device=self.device)
        scaling = calibration.scaling
        k = len(codes)
        matrix = torch.eye(k) / calibration.temperature if scaling is None else torch.tensor(scaling.matrix)
        offset = calibration.offset if scaling is None else scaling.offset
        self._matrix, self._offset = matrix.float().to(self.device), torch.tensor(offset, device=self.device)

    def log_scores(self, image: Tensor) -> Tensor:
        """Return the decision rule's log scores ``(k,)`` of one input ``(1, C, *shape)``."""
        batch = channels_last(torch.cat([view_of(image, view) for view in self._views]))
        members = []
        for member in self._members:
            logs = torch.log_softmax(member(batch).float() + self._shift, dim=-1)
            mean = torch.logsumexp(logs, dim=0) - torch.log(torch.tensor(float(len(logs))))
            members.append(torch.log_softmax(mean @ self._matrix.T + self._offset, dim=-1))
        together = torch.logsumexp(torch.stack(members), dim=0) - torch.log(torch.tensor(float(len(members))))
        return together + self._bonus

    def ahead(self, image: Tensor, label: int, goal: int | None = None) -> Tensor:
        """Return how far ``label`` is ahead of ``goal``, or of the best other label."""
        scores = self.log_scores(image)
        others = [i for i in range(len(scores)) if i != label] if goal is None else [goal]
        return scores[label] - scores[others].max()

    def gradient(self, image: Tensor, label: int, goal: int | None = None) -> tuple[float, Tensor]:
        """Return how far ``label`` is ahead at an input and the gradient of that ``(1, C, *shape)``.

        Raises
        ------
        ExplanationError
            When a member cannot be differentiated.
        """
        with differentiating("the search for a change"), torch.enable_grad():
            point = image.detach().to(self.device).requires_grad_()
            value = self.ahead(point, label, goal)
            (gradient,) = torch.autograd.grad(value, point)
        return float(value.detach()), gradient.detach()


def column(labels: Sequence[str], label: str) -> int:
    """Return the column of a label code."""
    return list(labels).index(label)
