r"""A Neural Semantic Encoder for single texts and pairs, trained from scratch.

The worked example of a plain network for `ModuleClassifier`. The words of a text stand in a memory
:math:`M`, one slot a word. For each word :math:`x_t` the network reads, composes and writes:

.. math::
    o_t &= \text{LSTM}_r(x_t), \quad z_t = \text{softmax}(M o_t), \quad m_t = M^\top z_t \\
    h_t &= \text{LSTM}_w(\text{MLP}([o_t; m_t])), \quad
    M \leftarrow M \odot (1 - z_t 1^\top) + z_t h_t^\top

and the last :math:`h_t` stands for the text. Premise and hypothesis have an encoder each; their
vectors u and v are put together as [u; v; \|u - v\|; u v] for a layer that gives the logits.

References
----------
Munkhdalai, T., & Yu, H. (2017). Neural semantic encoders. EACL, 397-407. arXiv:1607.04315.
Mou, L., Men, R., Li, G., Xu, Y., Zhang, L., Yan, R., & Jin, Z. (2016). Natural language inference
    by tree-based convolution and heuristic matching. ACL, 130-136. arXiv:1512.08422.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from irtkit.bridge.training.classifiers import ModuleClassifier
from irtkit.errors import ModelError

PADDING, UNKNOWN = 0, 1  # ids before those of the words
WORD = re.compile(r"\w+|[^\w\s]")


def nse_classifier(
    texts: pd.DataFrame,
    labels: tuple[str, ...],
    *,
    size: int = 128,
    max_length: int = 64,
    vectors: Mapping[str, np.ndarray] | None = None,
    seed: int = 0,
) -> ModuleClassifier:
    """Make an untrained classifier whose vocabulary are the words of some texts.

    Parameters
    ----------
    texts : DataFrame
        Columns text and, for pairs, text_pair: usually those that it will be trained on.
    labels : tuple of str
    size : int
        Length of word vectors, memory slots and states.
    max_length : int
        Words beyond which a text is cut.
    vectors : mapping, optional
        Word vectors of length `size` to start from; a word without one starts at random.
    seed : int
        Of the starting weights.
    """
    pairs = "text_pair" in texts
    columns = [texts[name] for name in ("text", "text_pair") if name in texts]
    encode = WordEncoder(vocabulary_of(text for column in columns for text in column), max_length)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = NeuralSemanticClassifier(len(encode.words), size, len(labels), pairs)
    if vectors is not None:
        network.take_vectors(encode.words, vectors)
    return ModuleClassifier(network, encode, tuple(labels))


def words_of(text: str) -> list[str]:
    """Split a text into lower-case words and single punctuation marks."""
    return WORD.findall(text.casefold())


def vocabulary_of(texts: Iterable[str], most: int = 50_000) -> tuple[str, ...]:
    """Collect the words of texts, the most frequent first, equals in alphabetical order."""
    tally = Counter(word for text in texts for word in words_of(text))
    return tuple(sorted(tally, key=lambda word: (-tally[word], word))[:most])


@dataclass(frozen=True, slots=True, eq=False)
class WordEncoder:
    """Turns texts into word ids; 0 is no word, 1 a word that the vocabulary lacks.

    Attributes
    ----------
    words : tuple of str
    max_length : int
        Words beyond which a text is cut.
    """

    words: tuple[str, ...]
    max_length: int = 64
    places: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", {w: n + 2 for n, w in enumerate(self.words)})

    def __call__(self, texts: pd.DataFrame) -> dict[str, Tensor]:
        """Give ids (N, T) of the columns text and, if there is one, text_pair."""
        return {
            name: self.ids(texts[name].tolist()) for name in ("text", "text_pair") if name in texts
        }

    def ids(self, texts: list[str]) -> Tensor:
        """Give the word ids of texts (N, T), padded on the right."""
        rows = [
            [self.places.get(word, UNKNOWN) for word in words_of(text)[: self.max_length]]
            for text in texts
        ]
        length = max(1, *(len(row) for row in rows))
        return torch.tensor(
            [(row or [UNKNOWN]) + [PADDING] * (length - max(len(row), 1)) for row in rows]
        )

    def truncated(self, texts: pd.DataFrame) -> np.ndarray:
        """Tell which rows have a text that is cut, (N,) bool."""
        columns = [texts[name] for name in ("text", "text_pair") if name in texts]
        return np.array(
            [
                any(len(words_of(t)) > self.max_length for t in row)
                for row in zip(*columns, strict=True)
            ],
            dtype=bool,
        )

    def identity(self) -> str:
        """Describe the encoding, for recognising a run."""
        return f"{self.max_length} {' '.join(self.words)}"


class NeuralSemanticEncoder(nn.Module):
    """Reads, composes and writes over a memory of word vectors.

    Parameters
    ----------
    size : int
        Length H of word vectors, slots and states.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.read = nn.LSTM(size, size, batch_first=True)
        self.compose = nn.Sequential(nn.Linear(2 * size, 2 * size), nn.ReLU())
        self.write = nn.LSTMCell(2 * size, size)

    def forward(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """Encode texts.

        Parameters
        ----------
        vectors : tensor, shape (B, T, H)
            Word vectors, padded on the right.
        mask : tensor, shape (B, T)
            True where there is a word.

        Returns
        -------
        tensor, shape (B, H)
            State after the last word; padding changes nothing.
        """
        outputs, _ = self.read(vectors)  # (B, T, H)
        memory = vectors  # (B, T, H)
        hidden = torch.zeros_like(vectors[:, 0])  # (B, H)
        cell = torch.zeros_like(hidden)
        empty = ~mask
        for step in range(vectors.shape[1]):
            read = outputs[:, step]  # (B, H)
            scores = torch.einsum("bth,bh->bt", memory, read)  # (B, T)
            focus = scores.masked_fill(empty, -torch.inf).softmax(-1)  # (B, T)
            found = torch.einsum("bt,bth->bh", focus, memory)  # (B, H)
            composed = self.compose(torch.cat([read, found], -1))  # (B, 2H)
            new_hidden, new_cell = self.write(composed, (hidden, cell))
            here = mask[:, step, None]  # (B, 1)
            hidden = torch.where(here, new_hidden, hidden)
            cell = torch.where(here, new_cell, cell)
            share = (focus * mask[:, step, None])[:, :, None]  # (B, T, 1)
            memory = memory * (1 - share) + share * hidden[:, None]  # (B, T, H)
        return hidden


class NeuralSemanticClassifier(nn.Module):
    """Word vectors, one encoder for texts and one for second texts, and a layer on both.

    Parameters
    ----------
    n_words : int
        Words of the vocabulary, those for padding and the unknown apart.
    size : int
    n_labels : int
    pairs : bool
        Whether there are pairs of texts.
    """

    def __init__(self, n_words: int, size: int, n_labels: int, pairs: bool) -> None:
        super().__init__()
        self.size, self.n_labels, self.pairs = size, n_labels, pairs
        self.embed = nn.Embedding(n_words + 2, size, padding_idx=PADDING)
        self.first = NeuralSemanticEncoder(size)
        self.second = NeuralSemanticEncoder(size) if pairs else None
        width = 4 * size if pairs else size
        self.head = nn.Sequential(
            nn.Dropout(0.2), nn.Linear(width, 2 * size), nn.ReLU(), nn.Linear(2 * size, n_labels)
        )

    def forward(self, text: Tensor, text_pair: Tensor | None = None) -> Tensor:
        """Give logits (B, L) for word ids (B, T) of texts and of second texts."""
        encoded = self.first(self.embed(text), text != PADDING)  # (B, H)
        if self.second is None:
            return torch.as_tensor(self.head(encoded))
        if text_pair is None:
            raise ModelError("This network was made for pairs: the texts need a text_pair.")
        other = self.second(self.embed(text_pair), text_pair != PADDING)  # (B, H)
        both = [encoded, other, (encoded - other).abs(), encoded * other]
        return torch.as_tensor(self.head(torch.cat(both, -1)))

    def take_vectors(self, words: tuple[str, ...], vectors: Mapping[str, np.ndarray]) -> None:
        """Start from given word vectors where there are any."""
        with torch.no_grad():
            for place, word in enumerate(words):
                if word in vectors:
                    given = torch.as_tensor(np.asarray(vectors[word], dtype=np.float32))
                    if given.shape != (self.size,):
                        raise ModelError(
                            f"The vector of '{word}' has the shape {tuple(given.shape)}; the "
                            f"network's size is {self.size}."
                        )
                    self.embed.weight[place + 2] = given

    def settings(self, encode: WordEncoder) -> dict[str, Any]:
        """Give what is needed to build the network and its encoding again."""
        return {
            "kind": "nse",
            "size": self.size,
            "pairs": self.pairs,
            "max_length": encode.max_length,
            "words": list(encode.words),
        }


def built(settings: Mapping[str, Any], labels: tuple[str, ...]) -> ModuleClassifier:
    """Build a network from its settings; its weights are to be read."""
    encode = WordEncoder(tuple(settings["words"]), settings["max_length"])
    network = NeuralSemanticClassifier(
        len(encode.words), settings["size"], len(labels), settings["pairs"]
    )
    return ModuleClassifier(network, encode, labels)
