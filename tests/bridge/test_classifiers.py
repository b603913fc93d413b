"""Classifiers: probabilities, features, folders, and the models that are refused."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from transformers import BertForSequenceClassification  # noqa: E402

from irtkit.bridge.training.classifiers import (  # noqa: E402
    CallableClassifier,
    Classifier,
    ModuleClassifier,
    TransformerClassifier,
    logits,
    read_classifier,
    write_classifier,
)
from irtkit.errors import FileError, ModelError  # noqa: E402
from tests.bridge.minilm import minilm_folder  # noqa: E402
from tests.bridge.tiny import (  # noqa: E402
    LABELS,
    WORDS,
    config,
    encoder_folder,
    examples,
    tokenizer,
)

SINGLE = 1e-5  # of float32 sums in another order
EXACT = 1e-12


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return encoder_folder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def classifier(folder):
    return TransformerClassifier.load(folder, LABELS, max_length=32)


@pytest.fixture(scope="module")
def texts():
    return examples(9).rows[["item", "text", "text_pair"]]


def test_probabilities_are_one_row_a_text_and_sum_to_one(classifier, texts):
    found = classifier.probabilities(texts)
    assert isinstance(classifier, Classifier)
    assert found.shape == (9, 3)
    assert found.dtype == np.float64
    assert found.sum(axis=1) == pytest.approx(np.ones(9), abs=EXACT)


def test_probabilities_do_not_depend_on_the_other_texts(classifier, texts):
    together = classifier.probabilities(texts)
    alone = np.vstack([classifier.probabilities(texts.iloc[[n]]) for n in range(9)])
    assert together == pytest.approx(alone, abs=SINGLE)
    back = classifier.probabilities(texts.iloc[::-1])[::-1]
    assert together == pytest.approx(back, abs=SINGLE)
    assert np.ptp(together, axis=0).min() > 10 * SINGLE  # the texts do differ


def test_probabilities_are_the_softmax_of_what_the_network_says(classifier, texts):
    inputs = classifier.tokenizer(
        texts["text"].tolist(),
        texts["text_pair"].tolist(),
        padding=True,
        return_tensors="pt",
        truncation=True,
        max_length=32,
    )
    with torch.inference_mode():
        expected = classifier.module.eval()(**inputs).logits.double().softmax(-1).numpy()
    assert classifier.probabilities(texts) == pytest.approx(expected, abs=SINGLE)


def test_asking_leaves_the_mode_of_the_network(classifier, texts):
    for mode in (True, False):
        classifier.module.train(mode)
        first, second = classifier.probabilities(texts), classifier.probabilities(texts)
        assert classifier.module.training is mode
        assert (first == second).all()  # no dropout


def test_features_are_the_mean_of_the_last_layer_over_the_tokens(classifier, texts):
    found = classifier.features(texts)
    assert found.shape == (9, 32)
    row = texts.iloc[[3]]
    inputs = classifier.tokenizer(
        row["text"].tolist(), row["text_pair"].tolist(), return_tensors="pt"
    )
    with torch.inference_mode():
        states = classifier.module.eval().bert(**inputs).last_hidden_state
    assert found[3] == pytest.approx(states[0].mean(0).numpy(), abs=SINGLE)


def test_no_texts_give_no_rows(classifier, texts):
    assert classifier.probabilities(texts.iloc[:0]).shape == (0, 3)


def test_longer_texts_are_counted_as_cut(classifier):
    rows = examples(30).rows
    cut = replace(classifier, max_length=11).truncated(rows)
    words = rows["text"].str.split().str.len() + rows["text_pair"].str.split().str.len() + 3
    assert cut.tolist() == (words > 11).tolist()
    assert 0 < cut.sum() < len(rows)


def test_new_head_depends_on_the_seed_alone(folder, texts):
    first = TransformerClassifier.load(folder, LABELS, seed=4)
    torch.manual_seed(99)
    before = torch.random.get_rng_state()
    again = TransformerClassifier.load(folder, LABELS, seed=4)
    other = TransformerClassifier.load(folder, LABELS, seed=5)
    assert (torch.random.get_rng_state() == before).all()
    assert (first.probabilities(texts) == again.probabilities(texts)).all()
    assert not np.allclose(first.probabilities(texts), other.probabilities(texts))


def test_weights_of_half_precision_are_loaded_in_single(folder, tmp_path):
    half = BertForSequenceClassification.from_pretrained(folder, dtype=torch.bfloat16)
    half.save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    assert TransformerClassifier.load(tmp_path, ("a", "b")).module.dtype == torch.float32


def test_loading_says_nothing(folder, capfd):
    TransformerClassifier.load(folder, LABELS)
    said = capfd.readouterr()
    assert said.out + said.err == ""


def test_transformer_comes_back_from_its_folder(classifier, texts, tmp_path):
    write_classifier(classifier, tmp_path / "model")
    again = read_classifier(tmp_path / "model")
    assert again.labels == LABELS
    assert again.max_length == 32
    assert again.probabilities(texts) == pytest.approx(classifier.probabilities(texts), abs=SINGLE)
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert {"classifier.json", "config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pth", ".pkl"))]


def test_other_programs_find_the_labels_in_the_folder(classifier, tmp_path):
    write_classifier(classifier, tmp_path / "model")
    network = BertForSequenceClassification.from_pretrained(tmp_path / "model")
    assert network.config.id2label == dict(enumerate(LABELS))


def test_existing_folder_is_kept_unless_overwriting_a_classifier(classifier, tmp_path):
    write_classifier(classifier, tmp_path / "model")
    with pytest.raises(FileError, match="exists"):
        write_classifier(classifier, tmp_path / "model")
    write_classifier(classifier, tmp_path / "model", overwrite=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    with pytest.raises(FileError, match="holds no classifier of irtkit"):
        write_classifier(classifier, tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "thesis.txt").exists()
    with pytest.raises(FileError, match="holds no classifier of irtkit"):
        read_classifier(tmp_path / "mine")


def linear(size=4, seed=0):
    torch.manual_seed(seed)
    return torch.nn.Linear(2, size)


def lengths(texts):
    return {"input": torch.tensor([[len(t), t.count("e")] for t in texts["text"]]).float() / 10}


@pytest.mark.parametrize(
    "wrap", [lambda z: z, lambda z: (z, None), lambda z: {"logits": z, "other": 1}]
)
def test_logits_are_found_in_what_a_network_returns(wrap, texts):
    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = linear(3)

        def forward(self, input):
            return wrap(self.inner(input))

    network = Network()
    found = ModuleClassifier(network, lengths, LABELS).probabilities(texts)
    expected = network.inner(lengths(texts)["input"]).softmax(-1).detach().numpy()
    assert found == pytest.approx(expected, abs=SINGLE)


def test_one_logit_is_the_log_odds_of_the_second_label(texts):
    made = ModuleClassifier(linear(1), lengths, ("worse", "better"))
    odds = logits(made, texts)[:, 0]
    assert made.probabilities(texts)[:, 1] == pytest.approx(1 / (1 + np.exp(-odds)), abs=EXACT)


def test_one_logit_can_be_asked_of_a_pretrained_encoder(folder, texts, tmp_path):
    made = TransformerClassifier.load(folder, ("worse", "better"), outputs=1)
    assert logits(made, texts).shape == (9, 1)
    write_classifier(made, tmp_path / "model")
    again = read_classifier(tmp_path / "model").probabilities(texts)
    assert again == pytest.approx(made.probabilities(texts), abs=SINGLE)


def test_logits_that_are_not_one_a_label_are_refused(texts):
    with pytest.raises(ModelError, match="4 logits a text for 3 labels"):
        ModuleClassifier(linear(4), lengths, LABELS).probabilities(texts)


def test_own_network_comes_back_into_one_of_its_kind(texts, tmp_path):
    made = ModuleClassifier(linear(3), lengths, LABELS)
    write_classifier(made, tmp_path / "model")
    like = ModuleClassifier(linear(3, seed=1), lengths, LABELS)
    again = read_classifier(tmp_path / "model", like=like)
    assert (again.probabilities(texts) == made.probabilities(texts)).all()
    assert not np.allclose(like.probabilities(texts), made.probabilities(texts))
    with pytest.raises(FileError, match="network of your own"):
        read_classifier(tmp_path / "model")
    with pytest.raises(FileError, match="not this network's"):
        read_classifier(tmp_path / "model", like=ModuleClassifier(linear(4), lengths, LABELS))


def test_function_gives_probabilities_and_is_checked(texts):
    def share(rows):
        return np.tile([0.2, 0.3, 0.5], (len(rows), 1))

    assert CallableClassifier(share, LABELS).probabilities(texts)[0].tolist() == [0.2, 0.3, 0.5]
    for spoil, message in (
        (lambda rows: share(rows)[1:], r"shape \(8, 3\) for 9 texts"),
        (lambda rows: share(rows) - 0.25, "9 rows that are no probabilities"),
        (lambda rows: share(rows) * 2, "no probabilities"),
        (lambda rows: share(rows) * np.nan, "no probabilities"),
    ):
        with pytest.raises(ModelError, match=message):
            CallableClassifier(spoil, LABELS).probabilities(texts)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pd.DataFrame({"sentence": ["a"]}), "no column text; their columns are 'sentence'"),
        (pd.DataFrame({"text": ["a", None]}), "1 cell of the column text without text"),
        (pd.DataFrame({"text": ["a"], "text_pair": [" "]}), "column text_pair without text"),
        (pd.DataFrame({"text": [3]}), "such as 3"),
    ],
)
def test_tables_without_text_are_refused(classifier, table, message):
    with pytest.raises(ModelError, match=message):
        classifier.probabilities(table)


def refused(folder, message, error=FileError, labels=LABELS, **given):
    with pytest.raises(error, match=message):
        TransformerClassifier.load(folder, labels, **given)


def test_pickled_weights_are_refused_and_not_opened(folder, tmp_path):
    trap = tmp_path / "sprung"
    network = BertForSequenceClassification(config())
    network.config.save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)

    class Bomb:
        def __reduce__(self):
            return (trap.write_text, ("boom",))

    torch.save({"weight": Bomb()}, tmp_path / "pytorch_model.bin")
    refused(tmp_path, "only 'pytorch_model.bin', and irtkit reads weights from safetensors alone")
    assert not trap.exists()


def test_code_that_comes_with_a_model_is_refused_and_not_run(folder, tmp_path):
    made = encoder_folder(tmp_path / "model")
    content = json.loads((made / "config.json").read_text())
    content["auto_map"] = {"AutoModelForSequenceClassification": "mine.Mine"}
    (made / "config.json").write_text(json.dumps(content))
    (made / "mine.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')")
    refused(made, "comes with code of its own, which irtkit never runs")
    assert not (tmp_path / "sprung").exists()


def test_folders_without_a_model_are_refused(tmp_path):
    refused(tmp_path, "no config.json in it")
    refused(tmp_path / "absent", "is no folder with a model")
    (tmp_path / "config.json").write_text("{")
    refused(tmp_path, r"config\.json cannot be read")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    refused(tmp_path, "holds no weights")


def test_damaged_weights_are_refused(tmp_path):
    made = encoder_folder(tmp_path / "model")
    whole = (made / "model.safetensors").read_bytes()
    (made / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    refused(made, "cannot be loaded")


def test_trained_head_keeps_its_labels_and_their_order(classifier, tmp_path):
    write_classifier(classifier, tmp_path / "model")
    order = "'no', 'perhaps', 'yes', in this order, and 'yes', 'no', 'perhaps' were given"
    refused(tmp_path / "model", order, ModelError, ("yes", "no", "perhaps"))
    refused(tmp_path / "model", "head for another number of labels", ModelError, ("a", "b"))
    loaded = TransformerClassifier.load(tmp_path / "model", ("NO", "Perhaps", "yes"))
    assert loaded.labels == ("NO", "Perhaps", "yes")


def test_labels_must_be_two_or_more_and_different(folder):
    refused(folder, "two or more different labels", ModelError, ("only",))
    refused(folder, "two or more different labels", ModelError, ("a", "a"))
    refused(folder, "1 logit for 3 labels", ModelError, outputs=1)


def test_texts_are_cut_no_later_than_the_network_has_places(folder):
    made = TransformerClassifier.load(folder, LABELS, max_length=65)
    assert made.max_length == 64
    made.probabilities(pd.DataFrame({"text": ["the cat " * 100]}))
    refused(folder, "cannot be cut at 3 tokens; 4 is the least", ModelError, max_length=3)


def test_device_that_is_not_there_is_refused(folder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    refused(
        folder, "The device cuda was asked for, and PyTorch finds none", ModelError, device="cuda"
    )
    refused(folder, "Unknown device 'gpu'", ModelError, device="gpu")


def test_vocabulary_of_the_tiny_tokenizer_covers_the_texts(classifier, texts):
    assert 1 not in classifier.encode(texts)["input_ids"]
    assert len(WORDS) == classifier.tokenizer.vocab_size


@pytest.mark.slow
def test_real_encoder_is_loaded_and_tells_meanings_apart(tmp_path):
    made = TransformerClassifier.load(minilm_folder(tmp_path), LABELS)
    sentences = ["A cat sleeps on the mat.", "A kitten naps on a rug.", "Prices rose last year."]
    cat, kitten, prices = made.features(pd.DataFrame({"text": sentences}))

    def cosine(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    assert cosine(cat, kitten) > 0.5 > 0.3 > cosine(cat, prices)
