"""What a Hugging Face `Trainer.predict` returns -> `Responses`, and the same arrays in a file.

A `PredictionOutput` holds logits and labels in the order of the data set and no ids, so the ids
of the items are demanded: nothing is matched by position in silence. A file ``.npz`` holds the
arrays `predictions` (logits, N x L), `items` (N ids) and `labels` (L names) or `label_ids`.
"""

from __future__ import annotations

import io
import math
import sys
import tokenize
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from irtkit.arrays import FloatArray, logsumexp
from irtkit.bridge.logs.tables import most_probable
from irtkit.errors import PredictionError, ResponseError, listing
from irtkit.io.streams import Archive
from irtkit.responses import Responses

NOT_AN_ARRAY = (
    *(ValueError, TypeError, OverflowError, MemoryError, SyntaxError),
    *(tokenize.TokenError, Warning),
)
NEEDED, KNOWN = ("predictions", "items"), ("predictions", "items", "labels", "label_ids", "model")


class PredictionOutput(Protocol):
    """What `Trainer.predict` returns, as far as it is read here."""

    @property
    def predictions(self) -> Any:
        """Logits, shape (N, L), or a tuple that begins with them."""

    @property
    def label_ids(self) -> Any:
        """Gold labels, shape (N,), or None."""


def responses_of_output(
    output: PredictionOutput,
    items: Sequence[str],
    *,
    labels: Sequence[str] | None = None,
    name: str = "model",
) -> Responses:
    """Turn the predictions of a Hugging Face trainer into responses, one row.

    Parameters
    ----------
    output : PredictionOutput
        Its `predictions` are logits, or a tuple that begins with them.
    items : sequence of str
        The items' ids, in the order of the data set that was predicted.
    labels : sequence of str, optional
        Names of the classes: the answers are then raw labels, graded by a scale's key. Without
        them the answers are right or wrong by `label_ids`.
    name : str
        The model's.

    Raises
    ------
    PredictionError
        If shapes contradict each other, logits are not finite, or there is nothing to grade by.
    """
    logits = _logits(output.predictions)
    if len(logits) != len(items):
        raise PredictionError(
            f"{len(items)} item ids were given for {len(logits)} predictions. Give the id of each "
            "row, in the order of the data set that was predicted."
        )
    if labels is not None:
        log_prob = logits - logsumexp(logits)[:, None]  # (N, L)
        return most_probable(np.exp(log_prob), list(items), list(labels), name=name)
    if output.label_ids is None:
        raise PredictionError(
            "The output holds no label_ids to grade by. Give the names of the classes (labels), "
            "so that a scale's key can grade them."
        )
    gold = np.asarray(output.label_ids)
    if gold.shape != (len(logits),) or gold.dtype.kind not in "iu":
        raise PredictionError(
            f"The label_ids have shape {gold.shape} and type {gold.dtype}; one whole number a row "
            "is needed."
        )
    try:
        return Responses.from_triples(
            [name] * len(items), list(items), (logits.argmax(axis=1) == gold).astype(int)
        )
    except ResponseError as error:
        raise PredictionError(str(error)) from error


def _logits(predictions: Any) -> FloatArray:
    """Return the logits of an output as an array of shape (N, L)."""
    first = predictions[0] if isinstance(predictions, tuple) and predictions else predictions
    try:
        logits = np.asarray(first, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise PredictionError(f"The predictions are no array of numbers: {error}.") from None
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise PredictionError(
            f"The predictions have shape {logits.shape}; one row an item and one column a class "
            "are needed."
        )
    if not np.isfinite(logits).all():
        raise PredictionError("The predictions hold values that are not finite.")
    return logits


def read_arrays(path: str | Path) -> Responses:
    """Read predictions saved by ``numpy.savez(path, predictions=..., items=..., labels=...)``.

    The array `labels` names the classes, or `label_ids` grades; `model` may name the model, else
    the file does.

    Raises
    ------
    FileError
        If the file is damaged.
    PredictionError
        If an array is absent, unknown, pickled or of another shape.
    """
    path = Path(path)
    with Archive(path) as archive:
        names = {name.removesuffix(".npy"): name for name in archive.names}
        if not {*NEEDED} <= {*names} <= {*KNOWN}:
            raise PredictionError(
                f"{path} holds the arrays {listing(names, 12)}. It needs predictions, items and "
                "labels or label_ids, may hold model, and no others."
            )
        arrays = {name: _array(archive.read(member)) for name, member in names.items()}
    bad = [name for name, array in arrays.items() if array is None]
    if bad:
        raise PredictionError(f"{path}: The array {listing(bad)} is damaged or pickled.")
    made = _Arrays(arrays["predictions"], arrays.get("label_ids"))
    items = [str(item) for item in np.atleast_1d(arrays["items"])]
    labels = None
    if "labels" in arrays:
        labels = [str(label) for label in np.atleast_1d(arrays["labels"])]
    name = str(arrays["model"]) if "model" in arrays else path.stem
    try:
        return responses_of_output(made, items, labels=labels, name=name)
    except PredictionError as error:
        raise PredictionError(f"{path}: {error}") from error


class _Arrays:
    """The arrays of a file, as a trainer returns them."""

    def __init__(self, predictions: Any, label_ids: Any) -> None:
        self.predictions, self.label_ids = predictions, label_ids


def _is_plain(array: Any) -> bool:
    """Whether an array holds numbers, truth values or text that is text."""
    if array.dtype.kind != "U":
        return array.dtype.kind in "fiub"
    signs = np.ascontiguousarray(array).reshape(-1).view(f"{array.dtype.byteorder}u4")
    return not signs.size or int(signs.max()) <= sys.maxunicode


def _array(content: bytes) -> Any:
    """Parse one array of NumPy's format, None if it is damaged or would need unpickling."""
    stream = io.BytesIO(content)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # headers of Python 2, which only damage makes here
            version = np.lib.format.read_magic(stream)
            header = {(1, 0): np.lib.format.read_array_header_1_0}
            reader = header.get(version, np.lib.format.read_array_header_2_0)
            shape, _, dtype = reader(stream)
            size = math.prod(shape) * dtype.itemsize
            if size != len(content) - stream.tell():
                return None
            stream.seek(0)
            array = np.lib.format.read_array(stream, allow_pickle=False)
        return array if _is_plain(array) else None
    except NOT_AN_ARRAY:
        return None
