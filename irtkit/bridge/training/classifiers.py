"""Classifiers of texts: what can be trained, and what only answers.

`TransformerClassifier` is a sequence classifier of the Transformers library with its tokenizer,
`ModuleClassifier` any network of PyTorch, `CallableClassifier` a function that gives
probabilities, which cannot be trained. All give probabilities for texts; `train.py` trains,
`write_classifier` keeps them in folders. PyTorch is loaded when it is used and not before.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd

from irtkit.bridge.training.answers import (
    by_length,
    check_texts,
    device_of,
    outputs_of,
    probabilities_of,
    usable_device,
)
from irtkit.bridge.training.extras import extra
from irtkit.errors import FileError, ModelError, count, shown
from irtkit.io.files import write_folder_atomically

if TYPE_CHECKING:
    from torch import Tensor, nn

    Encode = Callable[[pd.DataFrame], Mapping[str, "Tensor"]]

SUM_TOLERANCE = 1e-3  # of probabilities that a function gives
SCHEMA = "irtkit/classifier/1"
RECORD = "classifier.json"


@runtime_checkable
class Classifier(Protocol):
    """What gives each text a probability for each label.

    Attributes
    ----------
    labels : tuple of str
    """

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels in the order of the probabilities' columns."""
        ...

    def probabilities(self, texts: pd.DataFrame) -> np.ndarray:
        """Give probabilities, (N, L) float64, for rows with a text and, for pairs, a text_pair."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class CallableClassifier:
    """A function from texts to probabilities, such as a model behind a service.

    Attributes
    ----------
    function : callable
        DataFrame with text and, for pairs, text_pair -> array (N, L).
    labels : tuple of str
    """

    function: Callable[[pd.DataFrame], Any]
    labels: tuple[str, ...]

    def probabilities(self, texts: pd.DataFrame) -> np.ndarray:
        """Give what the function gives, checked.

        Raises
        ------
        ModelError
            If it is not one row of probabilities a text.
        """
        check_texts(texts)
        found = np.asarray(self.function(texts), dtype=float)  # (N, L)
        if found.shape != (len(texts), len(self.labels)):
            raise ModelError(
                f"The function gave an array of shape {found.shape} for "
                f"{count(len(texts), 'text')} and {count(len(self.labels), 'label')}; there must "
                "be one row a text."
            )
        sums = found.sum(axis=1)
        wrong = ~(np.abs(sums - 1.0) <= SUM_TOLERANCE) | ~(found >= 0).all(axis=1)
        if wrong.any():
            raise ModelError(
                f"The function gave {count(int(wrong.sum()), 'row')} that are no probabilities, "
                f"such as {shown(str(found[wrong][0].tolist()))}. Rows must sum to one."
            )
        return found / sums[:, None]


@dataclass(frozen=True, slots=True, eq=False)
class ModuleClassifier:
    """Any network of PyTorch with a function that turns texts into its inputs.

    Attributes
    ----------
    module : torch.nn.Module
        Called with the encoded texts as keywords; returns logits (N, L), or (N, 1) for the log
        odds of the second of two labels, by themselves or as `logits` of what it returns.
    encode : callable
        DataFrame with text and, for pairs, text_pair -> tensors by name, first axis N. A method
        `truncated(texts)`, if it has one, says which texts it cuts.
    labels : tuple of str
    """

    module: nn.Module
    encode: Encode
    labels: tuple[str, ...]

    def probabilities(self, texts: pd.DataFrame) -> np.ndarray:
        """Give probabilities (N, L)."""
        return probabilities_of(logits(self, texts), self.labels)

    def truncated(self, texts: pd.DataFrame) -> np.ndarray:
        """Tell which texts are cut before they reach the network, (N,) bool."""
        says = getattr(self.encode, "truncated", None)
        return np.zeros(len(texts), bool) if says is None else np.asarray(says(texts), bool)

    def identity(self) -> str:
        """Describe what turns texts into inputs, for recognising a run."""
        says = getattr(self.encode, "identity", None)
        return type(self.encode).__qualname__ if says is None else str(says())


@dataclass(frozen=True, slots=True, eq=False)
class TransformerClassifier:
    """A sequence classifier of the Transformers library with its tokenizer.

    Attributes
    ----------
    module : transformers.PreTrainedModel
    tokenizer : transformers.PreTrainedTokenizerBase
    labels : tuple of str
    max_length : int
        Tokens, special ones included, beyond which a text or a pair is cut.
    """

    module: Any
    tokenizer: Any
    labels: tuple[str, ...]
    max_length: int = 128

    @classmethod
    def load(
        cls,
        source: Any,
        labels: tuple[str, ...],
        *,
        seed: int = 0,
        max_length: int = 128,
        device: str = "cpu",
        outputs: int | None = None,
    ) -> TransformerClassifier:
        """Load a pretrained encoder, with its classification head or with a new one.

        Parameters
        ----------
        source : path or str
            A folder, or the name of a model on the Hub. Weights are read from safetensors only,
            and code that comes with a model is never run.
        labels : tuple of str
        seed : int
            Of a new head.
        max_length : int
            Tokens beyond which texts are cut, if the network does not cut earlier.
        device : str
            "cpu", "cuda", "mps".
        outputs : int, optional
            Logits; one a label by default, 1 for the log odds of the second of two labels.

        Raises
        ------
        FileError
            If it cannot be read, or has its weights as a pickle only, or wants to run code.
        ModelError
            If its head is for other labels, or the device is not there.
        """
        device = usable_device(device)
        pretrained = extra("irtkit.bridge.training.pretrained")
        module, tokenizer = pretrained.load(source, labels, seed, outputs or len(labels))
        length = pretrained.usable_length(module, tokenizer, max_length)
        return cls(module.to(device), tokenizer, tuple(labels), length)

    def encode(self, texts: pd.DataFrame) -> Mapping[str, Tensor]:
        """Turn texts into padded token ids and masks."""
        pairs = texts["text_pair"].tolist() if "text_pair" in texts else None
        return dict(
            self.tokenizer(
                texts["text"].tolist(),
                pairs,
                truncation=True,
                max_length=self.max_length,
                padding=True,
                return_tensors="pt",
            )
        )

    def probabilities(self, texts: pd.DataFrame) -> np.ndarray:
        """Give probabilities (N, L)."""
        return probabilities_of(logits(self, texts), self.labels)

    def features(self, texts: pd.DataFrame) -> np.ndarray:
        """Give the encoder's last layer, averaged over the tokens of each text, (N, H).

        What stands before the classification head, so that it does not depend on the head.
        """
        torch = extra("torch")
        encoder = self.module.base_model

        def pooled(batch: Mapping[str, Tensor]) -> Tensor:
            states = encoder(**batch).last_hidden_state  # (B, T, H)
            mask = batch["attention_mask"].unsqueeze(-1).to(states.dtype)  # (B, T, 1)
            return torch.as_tensor((states * mask).sum(1) / mask.sum(1))  # (B, H)

        return _in_batches(self, texts, pooled)

    def truncated(self, texts: pd.DataFrame) -> np.ndarray:
        """Tell which texts are longer than `max_length`, (N,) bool."""
        pairs = texts["text_pair"].tolist() if "text_pair" in texts else None
        found = self.tokenizer(texts["text"].tolist(), pairs, verbose=False)["input_ids"]
        return np.array([len(ids) > self.max_length for ids in found], dtype=bool)

    def identity(self) -> str:
        """Describe what turns texts into inputs, for recognising a run."""
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        words = backend.to_str() if backend is not None else repr(self.tokenizer)
        return f"{self.max_length} {words}"


Trainable = TransformerClassifier | ModuleClassifier


def logits(classifier: Trainable, texts: pd.DataFrame) -> np.ndarray:
    """Give the logits of texts, (N, L) float64, without training the network.

    The network is left in the mode, training or not, in which it was.
    """
    return _in_batches(classifier, texts, lambda batch: outputs_of(classifier.module(**batch)))


def _in_batches(
    classifier: Trainable, texts: pd.DataFrame, function: Callable[[Mapping[str, Any]], Any]
) -> np.ndarray:
    """Apply a function to batches of encoded texts of like length; rows in the given order."""
    torch = extra("torch")
    check_texts(texts)
    if texts.empty:
        return np.empty((0, len(classifier.labels)))
    module, device = classifier.module, device_of(classifier.module)
    was_training = module.training
    module.eval()
    parts, places = [], []
    try:
        with torch.inference_mode():
            for rows in by_length(texts):
                batch = {
                    name: tensor.to(device)
                    for name, tensor in classifier.encode(texts.iloc[rows]).items()
                }
                parts.append(function(batch).double().cpu().numpy())
                places.append(rows)
    finally:
        module.train(was_training)
    order = np.argsort(np.concatenate(places), kind="stable")
    return np.asarray(np.concatenate(parts)[order])


def write_classifier(
    classifier: Trainable, folder: str | Path, *, overwrite: bool = False
) -> None:
    """Write a classifier as a folder: weights as safetensors, the rest as JSON.

    Parameters
    ----------
    classifier : TransformerClassifier or ModuleClassifier
        Of a network of your own only the weights and labels are written.
    folder : path
    overwrite : bool
        Replace a classifier that stands there.

    Raises
    ------
    FileError
        If something stands there, or it cannot be written.
    """
    folder = Path(folder)
    if overwrite and folder.is_dir() and any(folder.iterdir()):
        _read_record(folder)  # nothing but a classifier may be replaced
    record: dict[str, Any] = {"schema": SCHEMA, "labels": list(classifier.labels)}
    with tempfile.TemporaryDirectory() as temporary:
        if isinstance(classifier, TransformerClassifier):
            extra("irtkit.bridge.training.pretrained").save(classifier.module, temporary)
            classifier.tokenizer.save_pretrained(temporary)
            outputs = classifier.module.config.num_labels
            record |= {"max_length": classifier.max_length, "outputs": outputs}
        else:
            extra("irtkit.bridge.training.weights").save_weights(classifier.module, temporary)
            settings = getattr(classifier.module, "settings", None)
            record["network"] = None if settings is None else settings(classifier.encode)
        files = {path.name: path.read_bytes() for path in sorted(Path(temporary).iterdir())}
    files[RECORD] = json.dumps(record, ensure_ascii=False, indent=1).encode()
    write_folder_atomically(folder, files, overwrite=overwrite)


def read_classifier(
    folder: str | Path, *, like: ModuleClassifier | None = None, device: str = "cpu"
) -> Trainable:
    """Read a classifier that `write_classifier` wrote.

    Parameters
    ----------
    folder : path
    like : ModuleClassifier, optional
        For a network of your own: a classifier of the same kind, whose copy takes the weights.
    device : str

    Raises
    ------
    FileError
        If the folder holds no classifier, or one whose network cannot be built from it.
    """
    record = _read_record(Path(folder))
    labels = tuple(record["labels"])
    if "max_length" in record:
        return TransformerClassifier.load(
            folder,
            labels,
            max_length=record["max_length"],
            device=device,
            outputs=record["outputs"],
        )
    if record["network"] is not None:
        like = extra("irtkit.bridge.training.nse").built(record["network"], labels)
    if like is None:
        raise FileError(
            f"{folder} holds the weights of a network of your own. Build it again and give it "
            "as `like`."
        )
    module = extra("irtkit.bridge.training.weights").with_weights(like.module, Path(folder))
    return ModuleClassifier(module.to(usable_device(device)), like.encode, labels)


def _read_record(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads((folder / RECORD).read_text("utf-8"))
        if record["schema"] != SCHEMA:
            raise ValueError(f"its schema is {record['schema']}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileError(
            f"{folder} holds no classifier of irtkit: {RECORD} cannot be read ({error})."
        ) from error
    return dict(record)
