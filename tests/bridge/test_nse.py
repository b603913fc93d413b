"""The Neural Semantic Encoder: its formula, padding, gradients, words, a toy task, its folder."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from irtkit.bridge.training.classifiers import read_classifier, write_classifier  # noqa: E402
from irtkit.bridge.training.nse import (  # noqa: E402
    NeuralSemanticEncoder,
    WordEncoder,
    nse_classifier,
    vocabulary_of,
    words_of,
)
from irtkit.bridge.training.train import Training, train  # noqa: E402
from irtkit.errors import ModelError  # noqa: E402
from tests.bridge.tiny import LABELS, examples  # noqa: E402

SINGLE = 1e-5  # of float32 sums in another order
DOUBLE = 1e-12
SIZE = 5


@pytest.fixture
def encoder():
    torch.manual_seed(2)
    return NeuralSemanticEncoder(SIZE).double()


def logistic(x):
    return 1 / (1 + np.exp(-x))


def lstm(cell, x, h, c, suffix=""):
    """One step of an LSTM, from the weights of PyTorch: input, forget, cell, output gates."""
    w, r, b, s = (
        getattr(cell, name + suffix).detach().numpy()
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    i, f, g, o = np.split(w @ x + b + r @ h + s, 4)
    c = logistic(f) * c + logistic(i) * np.tanh(g)
    return logistic(o) * np.tanh(c), c


def by_hand(encoder, words):
    """The equations of the paper for one text, word by word."""
    memory = words.copy()  # (T, H)
    h, c, h_read, c_read = (np.zeros(SIZE) for _ in range(4))
    weight, bias = (p.detach().numpy() for p in encoder.compose[0].parameters())
    for x in words:
        h_read, c_read = lstm(encoder.read, x, h_read, c_read, "_l0")
        scores = np.exp(memory @ h_read)
        z = scores / scores.sum()
        found = z @ memory
        composed = np.maximum(weight @ np.concatenate([h_read, found]) + bias, 0)
        h, c = lstm(encoder.write, composed, h, c)
        for slot in range(len(memory)):
            memory[slot] = memory[slot] * (1 - z[slot]) + z[slot] * h
    return h


def test_encoding_follows_the_equations_of_the_paper(encoder):
    words = np.random.default_rng(1).normal(size=(6, SIZE))
    found = encoder(torch.tensor(words)[None], torch.ones(1, 6, dtype=bool))[0]
    assert found.detach().numpy() == pytest.approx(by_hand(encoder, words), abs=DOUBLE)


def test_padding_does_not_change_the_encoding(encoder):
    rng = np.random.default_rng(1)
    words = torch.tensor(rng.normal(size=(3, 8, SIZE)))
    mask = torch.arange(8) < torch.tensor([8, 5, 1])[:, None]
    together = encoder(words, mask)
    for row, length in enumerate((8, 5, 1)):
        alone = encoder(words[row : row + 1, :length], mask[row : row + 1, :length])[0]
        assert together[row].tolist() == pytest.approx(alone.tolist(), abs=DOUBLE)
    words[~mask] = 99.0  # what stands in the padding does not matter
    assert torch.equal(encoder(words, mask), together)


def test_gradient_reaches_every_weight_and_no_padding(encoder):
    words = torch.randn(2, 4, SIZE, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    encoder(words, mask).square().sum().backward()
    assert all((p.grad != 0).any() for p in encoder.parameters())
    assert torch.isfinite(words.grad).all()
    assert (words.grad[mask].abs().sum(-1) > 0).all()
    assert (words.grad[~mask] == 0).all()


def test_gradient_is_that_of_finite_differences(encoder):
    words = torch.randn(2, 3, SIZE, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True] * 3, [True, True, False]])
    assert torch.autograd.gradcheck(lambda w: encoder(w, mask), (words,), atol=1e-7)


def test_memory_is_read_beyond_the_word_at_hand(encoder):
    """With the states of the readers cut off, later words still change earlier reading."""
    torch.manual_seed(0)
    words = torch.randn(1, 4, SIZE, dtype=torch.float64)
    other = words.clone()
    other[0, 3] += 1.0
    first_step = [encoder(w, torch.ones(1, 4, dtype=bool)) for w in (words, other)]
    assert not torch.allclose(*first_step)


def test_words_are_lower_case_and_marks_stand_alone():
    assert words_of("The CAT's hat, 2nd.") == ["the", "cat", "'", "s", "hat", ",", "2nd", "."]
    assert words_of("Straße Ñandú") == ["strasse", "ñandú"]
    assert vocabulary_of(["b a", "a c"]) == ("a", "b", "c")
    assert vocabulary_of(["b a", "a c"], most=2) == ("a", "b")


def test_unknown_words_and_cut_texts():
    encode = WordEncoder(("a", "b"), max_length=3)
    texts = pd.DataFrame({"text": ["b zzz a", "a a a a", "!"], "text_pair": ["a", "b", "a b a b"]})
    found = encode(texts)
    assert found["text"].tolist() == [[3, 1, 2], [2, 2, 2], [1, 0, 0]]
    assert found["text_pair"].tolist() == [[2, 0, 0], [3, 0, 0], [2, 3, 2]]
    assert encode.truncated(texts).tolist() == [False, True, True]


def colours_agree(n, seed):
    """Pairs of texts; the label is whether they name the same colour."""
    made = examples(n, seed=seed, first=100 * seed)
    rng = np.random.default_rng(seed)
    second = rng.integers(0, 3, n)
    same = (second == made.rows["label"].to_numpy()).astype(int)
    rows = made.rows.assign(
        text_pair=[f"it is {('red', 'green', 'blue')[k]}" for k in second],
        label=same,
        label_distribution=np.eye(2)[same].tolist(),
    )
    return dataclasses.replace(made, label_set=("no", "yes"), rows=rows)


def accuracy(classifier, made):
    return (classifier.probabilities(made.rows).argmax(1) == made.rows["label"]).mean()


def test_encoder_learns_whether_two_texts_agree():
    """Neither text alone tells the label, nor does any bag of words of either."""
    made, fresh = colours_agree(300, 1), colours_agree(100, 9)
    start = nse_classifier(made.rows, ("no", "yes"), size=32)
    method = Training(epochs=12, learning_rate=0.02, batch_size=32)
    found = train(start, made, method=method)
    assert accuracy(start, fresh) < 0.8
    assert accuracy(found.classifier, fresh) > 0.95


def test_single_texts_are_learnt_too():
    made = examples(120, pairs=False)
    start = nse_classifier(made.rows, LABELS, size=16)
    found = train(start, made, method=Training(epochs=8, learning_rate=0.02, batch_size=16))
    assert accuracy(found.classifier, examples(30, seed=3, first=400, pairs=False)) > 0.95


def test_probabilities_do_not_depend_on_the_other_texts():
    rows = examples(20).rows
    made = nse_classifier(rows, LABELS, size=8)
    alone = np.vstack([made.probabilities(rows.iloc[[n]]) for n in range(20)])
    assert made.probabilities(rows) == pytest.approx(alone, abs=SINGLE)


def test_network_comes_back_from_its_folder(tmp_path):
    rows = examples(20).rows
    made = nse_classifier(rows, LABELS, size=8, max_length=7)
    write_classifier(made, tmp_path / "nse")
    again = read_classifier(tmp_path / "nse")
    assert again.labels == LABELS
    assert again.probabilities(rows) == pytest.approx(made.probabilities(rows), abs=SINGLE)
    assert again.truncated(rows).tolist() == made.truncated(rows).tolist()
    names = sorted(path.name for path in (tmp_path / "nse").iterdir())
    assert names == ["classifier.json", "model.safetensors"]


def test_seed_alone_makes_the_starting_weights():
    rows = examples(20).rows
    first, again, other = (nse_classifier(rows, LABELS, size=8, seed=n) for n in (3, 3, 4))
    assert (first.probabilities(rows) == again.probabilities(rows)).all()
    assert not np.allclose(first.probabilities(rows), other.probabilities(rows))


def test_given_word_vectors_are_the_start():
    rows = examples(20).rows
    vector = np.arange(8.0)
    made = nse_classifier(rows, LABELS, size=8, vectors={"red": vector, "absent": vector})
    place = made.encode.places["red"]
    assert made.module.embed.weight[place].tolist() == vector.tolist()
    with pytest.raises(ModelError, match=r"The vector of 'red' has the shape \(7,\)"):
        nse_classifier(rows, LABELS, size=8, vectors={"red": vector[1:]})


def test_pairs_are_needed_where_pairs_were_seen():
    rows = examples(20).rows
    made = nse_classifier(rows, LABELS, size=8)
    with pytest.raises(ModelError, match="made for pairs"):
        made.probabilities(rows[["text"]])
