"""Losses: their values, their gradients, their reduction, and what they refuse."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from irtkit.bridge.training.losses import (  # noqa: E402
    LOSSES,
    cross_entropy,
    kl,
    mse,
    pairwise,
    soft_cross_entropy,
)
from irtkit.bridge.training.train import LOSS_NAMES  # noqa: E402
from irtkit.errors import ModelError  # noqa: E402

B, L = 7, 3
STEP = 1e-6
GRADIENT = 1e-8  # of a central difference with that step in float64
EXACT = 1e-12
SOFT = ("soft_cross_entropy", "kl", "mse")


@pytest.fixture
def drawn():
    """Return logits, soft targets, gold targets and weights, as arrays."""
    rng = np.random.default_rng(3)
    soft = rng.dirichlet(np.ones(L), B)
    soft[0] = [0.0, 1.0, 0.0]
    return rng.normal(0, 3, (B, L)), soft, np.eye(L)[rng.integers(0, L, B)], rng.random(B)


def softmax(logits):
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True)


def by_hand(name, logits, targets):
    """Write each loss as the obvious loop over items and labels; (B,)."""
    p = softmax(logits)
    found = np.zeros(len(p))
    for b in range(len(p)):
        for one in range(L):
            t = targets[b, one]
            found[b] += {
                "cross_entropy": -t * np.log(p[b, one]),
                "soft_cross_entropy": -t * np.log(p[b, one]),
                "kl": t * np.log(t / p[b, one]) if t > 0 else 0.0,
                "mse": (p[b, one] - t) ** 2,
            }[name]
    return found


def tensors(*arrays):
    return [torch.tensor(a, dtype=torch.float64) for a in arrays]


@pytest.mark.parametrize("name", [*SOFT, "cross_entropy"])
@pytest.mark.parametrize("has_weights", [False, True])
def test_loss_is_summed_over_labels_and_averaged_over_items(name, has_weights, drawn):
    logits, soft, gold, weights = drawn
    targets = gold if name == "cross_entropy" else soft
    each = by_hand(name, logits, targets)
    expected = np.average(each, weights=weights if has_weights else None)
    z, t, w = tensors(logits, targets, weights)
    found = LOSSES[name](z, t, w if has_weights else None)
    assert found.shape == ()
    assert found.item() == pytest.approx(expected, rel=EXACT)


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_gradient_is_that_of_finite_differences(name, drawn):
    logits, soft, gold, weights = drawn
    targets = gold if name == "cross_entropy" else soft
    if name == "pairwise":
        logits, targets = logits[:, :1], np.column_stack([1 - soft[:, 0], soft[:, 0]])
    z, t, w = tensors(logits, targets, weights)
    z.requires_grad_()
    LOSSES[name](z, t, w).backward()
    for place in np.ndindex(*logits.shape):
        ends = []
        for sign in (1, -1):
            moved = logits.copy()
            moved[place] += sign * STEP
            ends.append(LOSSES[name](torch.tensor(moved), t, w).item())
        assert z.grad[place].item() == pytest.approx(
            (ends[0] - ends[1]) / (2 * STEP), abs=GRADIENT
        )


def test_mse_is_larger_than_the_mean_of_elements_by_the_number_of_labels(drawn):
    z, t = tensors(drawn[0], drawn[1])
    of_elements = torch.nn.functional.mse_loss(z.softmax(-1), t)
    assert mse(z, t).item() == pytest.approx(L * of_elements.item(), rel=EXACT)


def test_mse_compares_probabilities_and_not_logits(drawn):
    z, t = tensors(drawn[0], drawn[1])
    assert mse(z + 5.0, t).item() == pytest.approx(mse(z, t).item(), rel=1e-10)
    assert mse(1e4 * t, t[:]).item() <= 2.0


def test_cross_entropy_is_that_of_the_library_on_gold_labels(drawn):
    z, gold = tensors(drawn[0], drawn[2])
    expected = torch.nn.functional.cross_entropy(z, gold.argmax(1))
    assert cross_entropy(z, gold).item() == pytest.approx(expected.item(), rel=EXACT)


def test_soft_losses_differ_by_the_entropy_of_the_targets(drawn):
    z, t = tensors(drawn[0], drawn[1])
    entropy = -torch.xlogy(t, t).sum(1).mean()
    gap = soft_cross_entropy(z, t) - kl(z, t)
    assert gap.item() == pytest.approx(entropy.item(), rel=EXACT)
    assert kl(t.clamp_min(1e-30).log(), t).item() == pytest.approx(0.0, abs=EXACT)


@pytest.mark.parametrize("name", SOFT)
def test_loss_is_least_where_the_softmax_equals_the_target(name, drawn):
    (t,) = tensors(drawn[1][1:])
    least = LOSSES[name](t.log(), t).item()
    rng = np.random.default_rng(0)
    for _ in range(20):
        moved = t.log() + torch.tensor(rng.normal(0, 0.1, t.shape))
        assert LOSSES[name](moved, t).item() > least


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_loss_of_huge_logits_is_finite(name):
    size = 1 if name == "pairwise" else 2
    z = torch.tensor([[1e4, -1e4]])[:, :size].requires_grad_()
    loss = LOSSES[name](z, torch.tensor([[0.0, 1.0]]), None)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(z.grad).all()


def test_pairwise_loss_is_binary_cross_entropy_on_soft_targets(drawn):
    z, t = tensors(drawn[0][:, 0], drawn[1][:, 0])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(z, t)
    assert pairwise(z, t).item() == pytest.approx(expected.item(), rel=EXACT)
    assert pairwise(z[:, None], t[:, None]).item() == pytest.approx(expected.item(), rel=EXACT)


def test_pairwise_loss_of_two_logits_is_their_cross_entropy(drawn):
    z, t = tensors(drawn[0][:, :2], drawn[1][:, 0])
    both = torch.stack([1 - t, t], 1)
    expected = soft_cross_entropy(z, both)
    assert pairwise(z, both).item() == pytest.approx(expected.item(), rel=EXACT)


def test_weight_zero_leaves_an_item_out(drawn):
    z, t = tensors(drawn[0], drawn[1])
    weights = torch.tensor([0.0, *[1.0] * (B - 1)], dtype=torch.float64)
    assert mse(z, t, weights).item() == pytest.approx(mse(z[1:], t[1:]).item(), rel=EXACT)


@pytest.mark.parametrize("name", ["mse", "kl", "cross_entropy"])
def test_targets_of_another_shape_are_refused(name):
    with pytest.raises(ModelError, match=r"need one shape .* \(4, 3\) and the targets \(4,\)"):
        LOSSES[name](torch.zeros(4, 3), torch.zeros(4), None)


def test_three_logits_are_no_comparison():
    with pytest.raises(ModelError, match="one logit, or two"):
        pairwise(torch.zeros(4, 3), torch.zeros(4))


def test_every_loss_has_its_name():
    assert tuple(LOSSES) == LOSS_NAMES
