"""Training: what is learnt, what a step is, what is kept, and what is refused."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from irtkit.bridge.training.classifiers import (  # noqa: E402
    CallableClassifier,
    ModuleClassifier,
    TransformerClassifier,
    logits,
)
from irtkit.bridge.training.losses import LOSSES, mse  # noqa: E402
from irtkit.bridge.training.train import LoRA, Training, train  # noqa: E402
from irtkit.errors import FileError, ModelError, NotConverged  # noqa: E402
from tests.bridge.minilm import minilm_folder  # noqa: E402
from tests.bridge.tiny import LABELS, encoder_folder, examples, weighted  # noqa: E402

SAME = 1e-5  # of float32 sums in another order, over a few steps
QUICK = Training(epochs=3, learning_rate=3e-3, batch_size=16)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    made = TransformerClassifier.load(encoder_folder(tmp_path_factory.mktemp("encoder")), LABELS)
    for part in made.module.modules():  # without dropout a step can be followed by hand
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    return made


@pytest.fixture(scope="module")
def run(classifier):
    """Train for three epochs with a development set."""
    return train(classifier, examples(), method=QUICK, development=examples(21, seed=1, first=100))


class Network(torch.nn.Module):
    """Counts colours; two outputs of one tensor, so that weights are shared."""

    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Linear(3, 3)
        self.same = self.inner

    def forward(self, counts):
        return self.same(counts)


def counts(texts):
    """Encode a text by how often it names each colour."""
    found = [[text.split().count(c) for c in ("red", "green", "blue")] for text in texts["text"]]
    return {"counts": torch.tensor(found, dtype=torch.float32)}


@pytest.fixture
def own():
    torch.manual_seed(5)
    return ModuleClassifier(Network(), counts, LABELS)


def weights(classifier):
    return {name: t.clone() for name, t in classifier.module.state_dict().items()}


def same_weights(first, second, within=0.0):
    return all(
        (first[name] - second[name]).abs().max() <= within for name in first if name in second
    )


def accuracy(classifier, made):
    return (classifier.probabilities(made.rows).argmax(1) == made.rows["label"]).mean()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_trained_classifier_has_learnt_the_colours(precision, classifier):
    method = dataclasses.replace(QUICK, epochs=12, precision=precision)
    found = train(classifier, examples(96), method=method)
    assert accuracy(found.classifier, examples(30, seed=7, first=300)) > 0.9
    assert found.classifier.module.dtype == torch.float32


def test_history_has_a_row_an_epoch(run):
    assert list(run.history.columns) == [
        "epoch",
        "step",
        "loss",
        "development_loss",
        "development_accuracy",
    ]
    assert run.history["epoch"].tolist() == [1, 2, 3]
    assert run.history["step"].tolist() == [3, 6, 9]
    assert run.losses.shape == (9,)
    assert run.history["loss"].tolist() == pytest.approx(run.losses.reshape(3, 3).mean(1).tolist())
    assert run.method == QUICK


def test_given_classifier_is_left_unchanged(classifier):
    before = weights(classifier)
    found = train(classifier, examples(), method=dataclasses.replace(QUICK, epochs=1))
    assert same_weights(before, weights(classifier))
    assert not same_weights(before, weights(found.classifier))
    assert not found.classifier.module.training


def test_examples_are_left_unchanged(classifier):
    made = examples()
    before = made.rows.copy(deep=True)
    train(classifier, made, method=dataclasses.replace(QUICK, epochs=1))
    pd.testing.assert_frame_equal(made.rows, before)


def test_development_loss_and_accuracy_are_those_of_the_classifier(classifier):
    made = weighted(examples(21, seed=1, first=100, target="crowd"), np.arange(21))
    method = dataclasses.replace(QUICK, loss="mse", epochs=1)
    found = train(classifier, examples(target="crowd"), method=method, development=made)
    z = torch.tensor(logits(found.classifier, made.rows))
    expected = mse(z, torch.tensor(made.distributions), torch.arange(21.0))
    row = found.history.iloc[0]
    assert row["development_loss"] == pytest.approx(expected.item(), rel=1e-6)
    assert row["development_accuracy"] == pytest.approx(accuracy(found.classifier, made))


@pytest.mark.parametrize("loss", ["mse", "soft_cross_entropy", "kl"])
def test_first_loss_is_that_of_the_untrained_network_on_all_items(loss, classifier):
    made = weighted(examples(target="crowd"), np.linspace(0.5, 2, 48))
    method = dataclasses.replace(QUICK, loss=loss, epochs=1, batch_size=48)
    found = train(classifier, made, method=method)
    z = torch.tensor(logits(classifier, made.rows))
    given = torch.tensor(made.distributions), torch.tensor(made.rows["weight"].to_numpy())
    assert found.losses[0] == pytest.approx(LOSSES[loss](z, *given).item(), rel=1e-5)


def test_soft_targets_do_not_become_yes_or_no_questions(classifier):
    """The head's own loss for labels as floats would push each logit by itself."""
    made = examples(target="crowd")
    method = dataclasses.replace(QUICK, loss="soft_cross_entropy", epochs=30)
    found = train(classifier, made, method=method)
    fitted = found.classifier.probabilities(made.rows)
    assert np.abs(fitted.mean(0) - made.distributions.mean(0)).max() < 0.02
    assert found.classifier.module.config.problem_type is None


def test_network_never_sees_the_targets(own):
    seen = []

    class Watched(Network):
        def forward(self, **given):
            seen.append(set(given))
            return super().forward(**given)

    train(dataclasses.replace(own, module=Watched()), examples(), method=QUICK)
    assert set.union(*seen) == {"counts"}


@pytest.mark.parametrize("n", [48, 44])
def test_accumulated_batches_are_one_large_batch(own, n):
    """Also where the last batch of a step is short, and items weigh differently."""
    made = weighted(examples(n), np.linspace(0.1, 3.0, n))
    large = dataclasses.replace(QUICK, batch_size=24, clip=0.3)  # Adam alone ignores scale
    small = dataclasses.replace(large, batch_size=8, accumulate=3)
    one, other = train(own, made, method=large), train(own, made, method=small)
    assert one.losses == pytest.approx(other.losses, rel=SAME)
    assert same_weights(weights(one.classifier), weights(other.classifier), SAME)


def test_step_is_that_of_adam_on_the_loss(own):
    made = weighted(examples(target="crowd"), np.linspace(0.1, 3.0, 48))
    method = Training(
        epochs=1, learning_rate=0.01, batch_size=48, loss="mse", warmup=0.0, weight_decay=0.1
    )
    found = train(own, made, method=method)
    network = dataclasses.replace(own).module
    expected = Network()
    expected.load_state_dict(network.state_dict())
    decayed, free = [expected.inner.weight], [expected.inner.bias]
    adam = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": free, "weight_decay": 0.0}], lr=0.01
    )
    given = [
        torch.tensor(a, dtype=torch.float32)
        for a in (made.distributions, made.rows["weight"].to_numpy())
    ]
    mse(expected(**counts(made.rows)), *given).backward()
    torch.nn.utils.clip_grad_norm_(expected.parameters(), 1.0)
    adam.step()
    assert same_weights(weights(found.classifier), expected.state_dict(), 1e-6)


def test_gradient_is_cut_to_its_largest_norm(own):
    """A gradient far below the epsilon of Adam moves nothing."""
    method = dataclasses.replace(QUICK, weight_decay=0.0)
    cut = train(own, examples(), method=dataclasses.replace(method, clip=1e-14))
    free = train(own, examples(), method=method)
    assert same_weights(weights(own), weights(cut.classifier), SAME)
    assert not same_weights(weights(own), weights(free.classifier), 100 * SAME)


def test_items_of_weight_zero_are_not_trained_on(own):
    made = examples()
    light = weighted(made, np.arange(48) < 32)
    left = dataclasses.replace(made, rows=made.rows.iloc[:32])
    one, other = (train(own, each, method=QUICK) for each in (light, left))
    assert one.losses.tolist() == other.losses.tolist()


def test_labels_in_another_order_are_matched_by_name(own):
    made = examples()
    order = [2, 0, 1]
    rows = made.rows.copy()
    rows["label_distribution"] = made.distributions[:, order].tolist()
    rows["label"] = [order.index(label) for label in rows["label"]]
    turned = dataclasses.replace(made, label_set=tuple(LABELS[n] for n in order), rows=rows)
    few = examples(9, first=100)
    one = train(own, made, method=QUICK, development=few)
    other = train(own, turned, method=QUICK, development=few)
    assert one.losses.tolist() == other.losses.tolist()
    pd.testing.assert_frame_equal(one.history, other.history)


def test_same_seed_gives_the_same_losses_and_another_seed_others(classifier):
    first, again = (train(classifier, examples(), method=QUICK) for _ in range(2))
    other = train(classifier, examples(), method=dataclasses.replace(QUICK, seed=1))
    assert first.losses.tolist() == again.losses.tolist()
    assert first.losses.tolist() != other.losses.tolist()


def test_generators_of_the_caller_are_left_alone(own):
    torch.manual_seed(8)
    np.random.seed(8)  # noqa: NPY002
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    train(own, examples(), method=QUICK)
    assert (torch.random.get_rng_state() == before[0]).all()
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002


def test_best_epoch_is_given_and_training_stops_when_it_is_over(own):
    noise = examples(24, seed=2, first=200)
    wrong = noise.rows.assign(
        label=(noise.rows["label"] + 1) % 3,
        label_distribution=np.roll(noise.distributions, 1, axis=1).tolist(),
    )
    against = dataclasses.replace(noise, rows=wrong)
    method = dataclasses.replace(QUICK, epochs=20, patience=2, learning_rate=0.1)
    found = train(own, examples(), method=method, development=against)
    losses = found.history["development_loss"]
    assert found.best_epoch == losses.idxmin() + 1 < len(losses) < 20
    assert len(losses) == found.best_epoch + 2
    z = torch.tensor(logits(found.classifier, against.rows))
    loss = LOSSES["cross_entropy"](z, torch.tensor(against.distributions), None)
    assert losses.min() == pytest.approx(loss.item(), rel=1e-6)


def test_without_a_development_set_the_last_epoch_is_given(own):
    found = train(own, examples(), method=QUICK)
    assert found.best_epoch == 3
    assert found.history["development_loss"].isna().all()
    assert accuracy(found.classifier, examples()) >= 0.3


class Watcher:
    """Keeps what it saw of each epoch."""

    def __init__(self, made):
        self.made, self.seen = made, []

    def after_epoch(self, epoch, classifier):
        self.seen.append((epoch, classifier.probabilities(self.made.rows)))


def test_observers_see_each_epoch_and_change_nothing(classifier):
    watcher = Watcher(examples(9))
    seen = train(classifier, examples(), method=QUICK, observers=[watcher])
    alone = train(classifier, examples(), method=QUICK)
    assert [epoch for epoch, _ in watcher.seen] == [1, 2, 3]
    assert seen.losses.tolist() == alone.losses.tolist()
    last = seen.classifier.probabilities(examples(9).rows)
    assert watcher.seen[-1][1] == pytest.approx(last, abs=SAME)
    assert not np.allclose(watcher.seen[0][1], last, atol=1e-3)


def test_progress_is_told_after_each_step(own):
    told = []
    train(own, examples(), method=QUICK, progress=lambda done, all_: told.append((done, all_)))
    assert told == [(step, 9) for step in range(1, 10)]


def test_training_prints_nothing(own, capfd):
    train(own, examples(), method=QUICK, development=examples(9, first=100))
    said = capfd.readouterr()
    assert said.out + said.err == ""


def test_truncated_texts_are_counted(classifier):
    short = dataclasses.replace(classifier, max_length=11)
    found = train(short, examples(), method=dataclasses.replace(QUICK, epochs=1))
    assert found.n_truncated == short.truncated(examples().rows).sum() > 0


def test_mixed_precision_rounds_the_losses_a_little(classifier, run):
    method = dataclasses.replace(QUICK, precision="bfloat16")
    found = train(classifier, examples(), method=method)
    assert found.losses.tolist() != run.losses.tolist()
    assert found.losses[:3] == pytest.approx(run.losses[:3], rel=0.05)


def test_adapters_alone_are_trained_and_then_merged(classifier):
    pytest.importorskip("peft")
    method = dataclasses.replace(QUICK, lora=LoRA(rank=4), learning_rate=0.02)
    few = examples(9, first=100)
    found = train(classifier, examples(), method=method, development=few)
    before, after = weights(classifier), weights(found.classifier)
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name.rsplit(".", 2)[-2] for name in changed} == {"query", "value", "classifier"}
    z, gold = logits(found.classifier, few.rows), torch.tensor(few.distributions)
    merged = LOSSES["cross_entropy"](torch.tensor(z), gold, None).item()
    assert merged == pytest.approx(found.history["development_loss"].min(), rel=SAME)
    untrained = LOSSES["cross_entropy"](torch.tensor(logits(classifier, few.rows)), gold, None)
    assert merged < untrained.item()


def test_pairs_with_one_logit_are_learnt(own):
    made = examples(30)
    keep = made.rows["label"] < 2
    rows = made.rows[keep].assign(
        label_distribution=[[0.9, 0.1] if k == 0 else [0.1, 0.9] for k in made.rows["label"][keep]]
    )
    pairs = dataclasses.replace(made, label_set=("worse", "better"), target="soft", rows=rows)
    one = ModuleClassifier(torch.nn.Sequential(), counts, ("worse", "better"))

    class OneLogit(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torch.nn.Linear(3, 1)

        def forward(self, counts):
            return self.inner(counts)

    one = ModuleClassifier(OneLogit(), counts, ("worse", "better"))
    method = Training(epochs=60, learning_rate=0.1, loss="pairwise")
    found = train(one, pairs, method=method).classifier.probabilities(rows)
    assert found == pytest.approx(pairs.distributions, abs=0.05)


def changed(made, **columns):
    return dataclasses.replace(made, rows=made.rows.assign(**columns))


def with_label(made, label):
    return changed(
        made, label=label, label_distribution=[np.eye(3)[label].tolist()] * len(made.rows)
    )


FAULTS = {
    "empty": (lambda m: dataclasses.replace(m, rows=m.rows.iloc[:0]), "is empty"),
    "one label": (
        lambda m: with_label(m, 1),
        "Every example of the set 'colours' has the label 'perhaps'",
    ),
    "no text": (lambda m: changed(m, text=" "), "48 cells of the column text without text"),
    "negative weight": (lambda m: weighted(m, [-1.0] * 48), "negative, not finite or all zero"),
    "zero weights": (lambda m: weighted(m, [0.0] * 48), "all zero"),
    "nan weight": (lambda m: weighted(m, [np.nan] * 48), "not finite"),
    "sum": (
        lambda m: changed(m, label_distribution=[[0.5, 0.4, 0.0]] * 48),
        "48 items of the set 'colours' without a distribution over its 3 labels: 'q0'",
    ),
    "negative share": (
        lambda m: changed(m, label_distribution=[[1.5, -0.5, 0.0]] * 48),
        "must be from 0 to 1",
    ),
    "nan share": (
        lambda m: changed(m, label_distribution=[[np.nan, 0.5, 0.5]] * 48),
        "without a distribution",
    ),
    "two shares": (
        lambda m: changed(m, label_distribution=[[0.5, 0.5]] + [[1.0, 0.0, 0.0]] * 47),
        "1 item of the set 'colours' without a distribution over its 3 labels: 'q0'",
    ),
    "other labels": (
        lambda m: dataclasses.replace(m, label_set=("a", "b", "c")),
        "knows the labels 'no', 'perhaps', 'yes', and the set 'colours' has 'a', 'b', 'c'",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_sets_with_a_fault_are_refused(name, own):
    spoil, message = FAULTS[name]
    with pytest.raises(ModelError, match=message):
        train(own, spoil(examples()), method=QUICK)


def test_gold_loss_on_crowd_targets_is_refused(own):
    with pytest.raises(ModelError, match="the loss cross_entropy is for gold labels"):
        train(own, examples(target="crowd"), method=QUICK)
    with pytest.raises(ModelError, match="pairwise is for two labels, not 3"):
        train(own, examples(), method=dataclasses.replace(QUICK, loss="pairwise"))


def test_label_with_one_example_is_noted(own):
    made = examples()
    few = dataclasses.replace(made, rows=made.rows[made.rows["label"].cumsum() != 0])
    keep = (few.rows["label"] != 2) | ~few.rows["label"].duplicated()
    found = train(own, dataclasses.replace(few, rows=few.rows[keep]), method=QUICK)
    assert found.notes == (
        "The label 'yes' has 1 example in the set 'colours'; that is too few to learn it from.",
    )
    assert train(own, made, method=QUICK).notes == ()


@pytest.mark.parametrize(
    ("development", "message"),
    [
        (examples(9), "9 items of the development set also in training: 'q0'"),
        (changed(examples(9, first=0), item=[f"d{n}" for n in range(9)]), r"'d0 \(q0 in training"),
    ],
)
def test_development_items_that_are_trained_on_are_refused(own, development, message):
    with pytest.raises(ModelError, match=message):
        train(own, examples(48), method=QUICK, development=development)


def test_patience_without_a_development_set_is_refused(own):
    with pytest.raises(ModelError, match="patience needs a development set"):
        train(own, examples(), method=dataclasses.replace(QUICK, patience=1))


def test_function_cannot_be_trained():
    with pytest.raises(ModelError, match="A CallableClassifier only answers"):
        train(CallableClassifier(lambda texts: None, LABELS), examples())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"loss": "mae"}, "Unknown loss 'mae'; there is 'cross_entropy', 'mse'"),
        ({"precision": "float8"}, "Unknown precision 'float8'"),
        ({"epochs": 0}, "epochs is 0; it must be a whole number from 1"),
        ({"batch_size": 2.5}, "batch_size is 2.5"),
        ({"accumulate": -1}, "accumulate is -1"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"learning_rate": -1e-3}, "learning_rate is -0.001; it must lie between 0.0 and 10.0"),
        ({"warmup": 1.5}, "warmup is 1.5"),
    ],
)
def test_options_out_of_range_are_refused(given, message):
    with pytest.raises(ModelError, match=message):
        Training(**given)


def test_device_that_is_not_there_is_refused_at_the_start(own, monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    method = dataclasses.replace(QUICK, device="cuda")
    with pytest.raises(ModelError, match="The device cuda was asked for, and PyTorch finds none"):
        train(own, examples(), method=method, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_float16_on_the_cpu_is_refused(own):
    with pytest.raises(ModelError, match="float16 needs a GPU"):
        train(own, examples(), method=dataclasses.replace(QUICK, precision="float16"))


def test_adapters_of_an_own_network_are_refused(own):
    with pytest.raises(ModelError, match="lora is for a TransformerClassifier"):
        train(own, examples(), method=dataclasses.replace(QUICK, lora=LoRA()))


class Explodes(Network):
    """Gives NaN for texts with one thing in them, once it has been asked often enough."""

    def __init__(self, gradient=False):
        super().__init__()
        self.gradient, self.asked = gradient, 0

    def forward(self, counts):
        self.asked += 1
        found = super().forward(counts)
        if self.training and self.asked > 4:
            if self.gradient:
                found.register_hook(lambda g: g * torch.nan)
            else:
                return found * torch.nan
        return found


@pytest.mark.parametrize("gradient", [False, True])
def test_loss_that_is_no_number_stops_the_run_and_names_the_batch(own, gradient, tmp_path):
    made = dataclasses.replace(own, module=Explodes(gradient))
    what = "gradient" if gradient else "loss"
    message = rf"The {what} is no longer a number at step 5, with the items 'q\d+', .* and 11 more"
    with pytest.raises(NotConverged, match=message):
        train(made, examples(), method=QUICK, folder=tmp_path / "run")
    (kept,) = (tmp_path / "run").glob("checkpoint-*")
    assert kept.name == "checkpoint-3"
    record = json.loads((kept / "record.json").read_text())["found"]
    assert np.isfinite(record["losses"]).all()
    batch = json.loads((tmp_path / "run" / "stopped.json").read_text())
    assert len(batch["items"]) == 16
    assert batch["step"] == 5


def test_memory_that_does_not_suffice_is_told_with_the_batch_size(own, tmp_path):
    class Greedy(Network):
        def forward(self, counts):
            if self.training:
                torch.empty(2**60)
            return super().forward(counts)

    made = dataclasses.replace(own, module=Greedy())
    message = "batches of 16 items. batch_size=8 with accumulate=2 takes the same steps"
    with pytest.raises(NotConverged, match=message):
        train(made, examples(), method=QUICK, folder=tmp_path / "run")


def test_other_errors_of_a_network_are_not_hidden(own):
    class Broken(Network):
        def forward(self, counts):
            raise RuntimeError("my own mistake")

    with pytest.raises(RuntimeError, match="my own mistake"):
        train(dataclasses.replace(own, module=Broken()), examples(), method=QUICK)


def test_folder_with_other_things_is_left_alone(own, tmp_path):
    (tmp_path / "thesis.txt").write_text("all of it")
    with pytest.raises(FileError, match=r"holds 'thesis\.txt', and no run"):
        train(own, examples(), method=QUICK, folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.slow
def test_real_encoder_learns_what_random_texts_mean(tmp_path):
    made = TransformerClassifier.load(minilm_folder(tmp_path), LABELS, max_length=32)
    method = Training(epochs=2, learning_rate=2e-4, batch_size=16, warmup=0.0)
    found = train(made, examples(48), method=method)
    assert accuracy(found.classifier, examples(24, seed=7, first=300)) > 0.8
