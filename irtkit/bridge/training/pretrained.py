"""Loading pretrained classifiers of the Transformers library, with care.

Weights are read from safetensors only, never from a pickle; code that comes with a model is never
run; a head that was trained for other labels is refused rather than renamed.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from irtkit.errors import FileError, ModelError, count, listing, shown

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".h5", ".msgpack")
LEAST = 4  # tokens: a mark before and after each of two texts, and little else
UNLIMITED = 10**6  # a tokenizer without a limit says a number above this


def load(source: Any, labels: tuple[str, ...], seed: int, outputs: int) -> tuple[Any, Any]:
    """Load a classifier and its tokenizer; see `TransformerClassifier.load`."""
    name = os.fspath(source)
    check_labels(labels, outputs)
    if Path(name).is_dir():
        check_folder(Path(name))
    elif Path(name).exists() or (os.sep in name and name.count("/") != 1):
        raise FileError(f"{name} is no folder with a model. Name the folder, or a model's name.")
    with quiet(), told(name), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = AutoConfig.from_pretrained(name, trust_remote_code=False, num_labels=outputs)
        known = tuple(config.id2label[place] for place in sorted(config.id2label))
        module, report = AutoModelForSequenceClassification.from_pretrained(
            name,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    if not report["missing_keys"]:
        check_head(name, known, labels, outputs)
    if outputs == len(labels):
        module.config.id2label = dict(enumerate(labels))
        module.config.label2id = {label: place for place, label in enumerate(labels)}
    pad(module, tokenizer)
    return module, tokenizer


def save(module: Any, folder: str) -> None:
    """Write a network's weights as safetensors and its configuration."""
    with quiet():
        module.save_pretrained(folder)


def check_labels(labels: tuple[str, ...], outputs: int) -> None:
    """Refuse labels that are too few, repeated, or not as many as the logits."""
    if len(labels) < 2 or len(set(labels)) < len(labels):
        raise ModelError(
            f"A classifier needs two or more different labels, not {listing(labels)}."
        )
    if outputs != len(labels) and (outputs, len(labels)) != (1, 2):
        raise ModelError(
            f"{count(outputs, 'logit')} for {count(len(labels), 'label')}: there must be one a "
            "label, or one for two labels."
        )


def check_folder(folder: Path) -> None:
    """Refuse a folder without a model, with pickled weights only, or with code to be run."""
    names = sorted(path.name for path in folder.iterdir())
    if "config.json" not in names:
        raise FileError(f"{folder} holds no model: there is no config.json in it.")
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise FileError(f"{folder / 'config.json'} cannot be read: {error}.") from error
    if "auto_map" in config:
        raise FileError(
            f"The model in {folder} comes with code of its own, which irtkit never runs. Choose "
            "a model whose architecture is part of the Transformers library."
        )
    if not any(name.endswith(".safetensors") for name in names):
        pickles = [name for name in names if name.endswith(PICKLES)]
        found = f" only {listing(pickles)}" if pickles else " no weights"
        raise FileError(
            f"{folder} holds{found}, and irtkit reads weights from safetensors alone: a pickle "
            "can run any code. Convert it where you trust it: load it with from_pretrained and "
            "save it with save_pretrained."
        )


@contextlib.contextmanager
def told(name: str) -> Iterator[None]:
    """Turn what the library raises into a sentence about the model."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        if isinstance(error, (FileError, ModelError)):
            raise
        text = " ".join(str(error).split())
        if "trust_remote_code" in text or "custom code" in text:
            raise FileError(
                f"The model {name} comes with code of its own, which irtkit never runs. Choose "
                "a model whose architecture is part of the Transformers library."
            ) from error
        if "safetensors" in text:
            raise FileError(
                f"The model {name} has no weights as safetensors, and irtkit reads no others: a "
                "pickle can run any code."
            ) from error
        if "size mismatch" in text or "ignore_mismatched_sizes" in text:
            raise ModelError(
                f"The model {name} has a head for another number of labels. Start from its "
                "encoder without a head, or give the labels that it was trained on."
            ) from error
        raise FileError(f"The model {name} cannot be loaded: {text[:300]}") from error


def check_head(name: str, known: tuple[str, ...], labels: tuple[str, ...], outputs: int) -> None:
    """Refuse a trained head whose labels have other names, or another order."""
    unnamed = all(label == f"LABEL_{place}" for place, label in enumerate(known))
    if unnamed or outputs != len(labels) or known == tuple(labels):
        return
    if [label.casefold() for label in known] == [label.casefold() for label in labels]:
        return
    raise ModelError(
        f"The model {name} was trained for the labels {listing(known, 12)}, in this order, and "
        f"{listing(labels, 12)} were given. Give its labels in its order."
    )


def usable_length(module: Any, tokenizer: Any, max_length: int) -> int:
    """Cut texts no later than the network has places for."""
    most = min(
        getattr(module.config, "max_position_embeddings", UNLIMITED), tokenizer.model_max_length
    )
    if max_length < LEAST:
        raise ModelError(f"Texts cannot be cut at {max_length} tokens; {LEAST} is the least.")
    return min(max_length, most)


def pad(module: Any, tokenizer: Any) -> None:
    """Let a model that knows no padding pad with its end mark, which its mask then hides."""
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise ModelError(
                f"The tokenizer of {shown(type(module).__name__)} has neither a padding nor an "
                "end token, so texts cannot be put side by side."
            )
        tokenizer.pad_token = tokenizer.eos_token
    if module.config.pad_token_id is None:
        module.config.pad_token_id = tokenizer.pad_token_id


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the library from writing to the terminal: what matters is said by errors."""
    verbosity = transformers.utils.logging.get_verbosity()
    bars = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.set_verbosity(logging.ERROR)
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers.utils.logging.set_verbosity(verbosity)
        if bars:
            transformers.utils.logging.enable_progress_bar()
