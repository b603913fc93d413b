"""From texts to a network and from its logits to probabilities: the small steps between.

`classifiers.py` puts them together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from irtkit.bridge.training.extras import extra
from irtkit.errors import ModelError, count, listing, shown

if TYPE_CHECKING:
    from torch import Tensor, nn

BATCH = 64  # texts answered at once


def by_length(texts: pd.DataFrame) -> Iterator[np.ndarray]:
    """Split row numbers into batches of like length, so that little is padded."""
    length = texts["text"].str.len().to_numpy()
    if "text_pair" in texts:
        length = length + texts["text_pair"].str.len().to_numpy()
    order = np.argsort(-length, kind="stable")
    for start in range(0, len(order), BATCH):
        yield order[start : start + BATCH]


def outputs_of(given: Any) -> Tensor:
    """Find the logits in what a network returned."""
    if isinstance(given, Mapping):
        given = given["logits"]
    elif isinstance(given, tuple):
        given = given[0]
    found: Tensor = getattr(given, "logits", given)
    return found.unsqueeze(-1) if found.ndim == 1 else found


def probabilities_of(given: np.ndarray, labels: tuple[str, ...]) -> np.ndarray:
    """Turn logits (N, L) into probabilities; of two labels, one logit is the second's log odds.

    Raises
    ------
    ModelError
        If there is not one logit a label.
    """
    if given.shape[1] == 1 and len(labels) == 2:
        given = np.hstack([np.zeros_like(given), given])  # (N, 2)
    if given.shape[1] != len(labels):
        raise ModelError(
            f"The network gives {count(given.shape[1], 'logit')} a text for "
            f"{count(len(labels), 'label')}: {listing(labels)}. It needs one a label."
        )
    powers = np.exp(given - given.max(axis=1, keepdims=True))  # (N, L)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def check_texts(texts: pd.DataFrame) -> None:
    """Refuse a table without texts, or with cells that are no text."""
    if "text" not in texts:
        raise ModelError(
            f"The texts have no column text; their columns are {listing(texts.columns, 12)}."
        )
    for name in ("text", "text_pair"):
        bad = [v for v in texts.get(name, ()) if not isinstance(v, str) or not v.strip()]
        if bad:
            raise ModelError(
                f"{count(len(bad), 'cell')} of the column {name} without text, such as "
                f"{shown(bad[0])}. Each row needs its text."
            )


def device_of(module: nn.Module) -> Any:
    """Tell where a network's parameters are."""
    first = next(module.parameters(), None)
    return extra("torch").device("cpu") if first is None else first.device


def usable_device(name: str) -> str:
    """Give a device back if it can be used.

    Raises
    ------
    ModelError
        If it is not there.
    """
    torch = extra("torch")
    if name not in ("cpu", "cuda", "mps"):
        raise ModelError(
            f"Unknown device {shown(name)}; there is cpu, cuda, mps. Of several GPUs, the "
            "environment variable CUDA_VISIBLE_DEVICES chooses one."
        )
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there[name]:
        raise ModelError(
            f"The device {name} was asked for, and PyTorch finds none here. Choose the device "
            "cpu, or install a build of PyTorch for this machine's accelerator."
        )
    return name
