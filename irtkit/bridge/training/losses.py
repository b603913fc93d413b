r"""Losses of a classifier: how far its logits are from target label distributions.

Each function takes logits (B, L), targets (B, L) whose rows sum to one, and weights (B,) or None,
and returns one number: the loss of each item, summed over labels, averaged over items,

.. math:: \sum_b w_b \ell_b \Big/ \sum_b w_b,

with all weights one where none are given. The choice of the target (gold or crowd) and of the
loss are separate. The losses are computed here and never by the network: a classification head of
the Transformers library that is handed labels as floats takes them for several yes-or-no
questions and trains on another loss without a word.

References
----------
Lalor, J. P., Wu, H., & Yu, H. (2018). Soft label memorization-generalization for natural language
    inference. arXiv:1702.08563.
Peterson, J. C., Battleday, R. M., Griffiths, T. L., & Russakovsky, O. (2019). Human uncertainty
    makes classification more robust. ICCV, 9617-9626. https://doi.org/10.1109/ICCV.2019.00971
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from irtkit.errors import ModelError

Loss = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    r"""Cross-entropy on gold labels: :math:`\ell = -\log p_{gold}`.

    Parameters
    ----------
    logits : tensor, shape (B, L)
    targets : tensor, shape (B, L)
        One at the gold label, zero elsewhere.
    weights : tensor, shape (B,), optional

    Returns
    -------
    tensor, shape ()
        In nats.
    """
    return soft_cross_entropy(logits, targets, weights)


def soft_cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    r"""Cross-entropy on label distributions: :math:`\ell = -\sum_l t_l \log p_l`.

    Its least value is the entropy of the targets, not zero; its gradient is that of `kl`.

    Parameters
    ----------
    logits : tensor, shape (B, L)
    targets : tensor, shape (B, L)
    weights : tensor, shape (B,), optional

    Returns
    -------
    tensor, shape ()
        In nats.
    """
    _check_shapes(logits, targets)
    return _mean(-(targets * logits.log_softmax(-1)).sum(-1), weights)


def kl(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    r"""Kullback-Leibler divergence of the targets: :math:`\ell = \sum_l t_l \log(t_l / p_l)`.

    Parameters
    ----------
    logits : tensor, shape (B, L)
    targets : tensor, shape (B, L)
        A label without mass counts nothing.
    weights : tensor, shape (B,), optional

    Returns
    -------
    tensor, shape ()
        In nats, zero where the softmax equals the target.
    """
    _check_shapes(logits, targets)
    negative_entropy = torch.xlogy(targets, targets).sum(-1)  # (B,)
    crossed = (targets * logits.log_softmax(-1)).sum(-1)  # (B,)
    return _mean(negative_entropy - crossed, weights)


def mse(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    r"""Squared distance of the softmax from the targets: :math:`\ell = \sum_l (p_l - t_l)^2`.

    The loss of crowd-informed fine-tuning: summed over labels, averaged over items. (The mean of
    all elements, as libraries have it, is smaller by the number of labels.)

    Parameters
    ----------
    logits : tensor, shape (B, L)
    targets : tensor, shape (B, L)
    weights : tensor, shape (B,), optional

    Returns
    -------
    tensor, shape ()
        Between 0 and 2.
    """
    _check_shapes(logits, targets)
    return _mean((logits.softmax(-1) - targets).square().sum(-1), weights)


def pairwise(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    r"""Binary cross-entropy on soft comparisons: :math:`\ell = -t \log s(z) - (1-t) \log s(-z)`.

    Here s is the logistic function, z the log odds, and t the probability of the second label
    (that the first of two texts wins, say).

    Parameters
    ----------
    logits : tensor, shape (B,), (B, 1) or (B, 2)
        Log odds of the second label; of two logits, their difference.
    targets : tensor, shape (B,), (B, 1) or (B, 2)
        Probability of the second label; of two, the last.
    weights : tensor, shape (B,), optional

    Returns
    -------
    tensor, shape ()
        In nats.
    """
    odds = logits[:, 1] - logits[:, 0] if logits.shape[1:] == (2,) else logits.reshape(-1)
    wins = targets[:, 1] if targets.shape[1:] == (2,) else targets.reshape(-1)
    if odds.shape != wins.shape or len(odds) != len(logits):
        raise ModelError(
            f"Comparisons need one logit, or two, and one target each; the logits have the shape "
            f"{tuple(logits.shape)} and the targets {tuple(targets.shape)}."
        )
    return _mean(torch.nn.functional.softplus(odds) - wins * odds, weights)


def _mean(losses: Tensor, weights: Tensor | None) -> Tensor:
    if weights is None:
        return losses.mean()
    return (weights * losses).sum() / weights.sum()


def _check_shapes(logits: Tensor, targets: Tensor) -> None:
    if logits.ndim != 2 or logits.shape != targets.shape:
        raise ModelError(
            f"Logits and targets need one shape (items, labels); the logits have "
            f"{tuple(logits.shape)} and the targets {tuple(targets.shape)}."
        )


LOSSES: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    "mse": mse,
    "soft_cross_entropy": soft_cross_entropy,
    "kl": kl,
    "pairwise": pairwise,
}
