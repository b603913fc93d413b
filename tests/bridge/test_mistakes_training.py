"""Recording mistakes during a real training of a tiny network, and fine-tuning on them."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from irtkit.bridge.encoders.ranking import rank_encoders  # noqa: E402
from irtkit.bridge.mistakes.record import chosen, mistaken_set  # noqa: E402
from irtkit.bridge.mistakes.recorder import MistakeRecorder, label_probabilities, right_labels  # noqa: E402
from irtkit.bridge.mistakes.stages import before_after, train_on_mistakes  # noqa: E402
from irtkit.bridge.training.classifiers import TransformerClassifier  # noqa: E402
from irtkit.bridge.training.train import Training, train  # noqa: E402
from irtkit.errors import ModelError  # noqa: E402
from tests.bridge.tiny import LABELS, encoder_folder, examples  # noqa: E402

QUICK = Training(epochs=6, learning_rate=1e-3, batch_size=8)
WRONG = (0, 1, 2, 3)  # rows whose label is not what the text says
SAME = 1e-6


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    made = TransformerClassifier.load(encoder_folder(tmp_path_factory.mktemp("encoder")), LABELS)
    for part in made.module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    return made


@pytest.fixture(scope="module")
def noisy():
    """Return examples of which four have a wrong label."""
    made = examples(60, pairs=False)
    label = made.rows["label"].to_numpy().copy()
    label[list(WRONG)] = (label[list(WRONG)] + 1) % 3
    rows = made.rows.assign(label=label, label_distribution=np.eye(3)[label].tolist())
    return dataclasses.replace(made, rows=rows)


@pytest.fixture(scope="module")
def run(classifier, noisy):
    return train_on_mistakes(classifier, noisy, "e4 & e5", method=QUICK)


def test_wrong_labels_are_among_the_mistakes(run, noisy):
    assert run.record.n_epochs == 6
    mistaken = set(run.chosen.rows["item"])
    assert len(mistaken & {noisy.rows["item"][row] for row in WRONG}) >= 3
    assert len(mistaken) < 10
    assert chosen(run.record, "e4 & e5").sum() == len(mistaken)


def test_the_last_epoch_recorded_is_that_of_the_trained_classifier(run, noisy):
    found = label_probabilities(run.first.classifier, noisy)
    assert np.abs(found - run.record.probabilities[-1]).max() < SAME


def test_the_second_stage_has_its_own_rate_and_begins_where_the_first_ended(run, noisy):
    assert run.second.method.learning_rate == pytest.approx(2.5e-7)
    assert run.second.method.epochs == 1
    before = label_probabilities(run.first.classifier, noisy)
    after = label_probabilities(run.second.classifier, noisy)
    assert 0.0 < np.abs(after - before).max() < 0.01


def test_a_large_rate_mends_what_was_mistaken(run, noisy):
    again = Training(epochs=20, learning_rate=2e-3, batch_size=8)
    mended = train(run.first.classifier, run.chosen, method=again).classifier
    assert not right_labels(run.first.classifier, run.chosen).any()
    table = before_after(run.first.classifier, mended, run.chosen)
    assert table.loc["all", "n_mended"] > len(run.chosen.rows) / 2
    assert table.loc["all", "n_broken"] == 0


def test_before_and_after_are_told_by_category(run, noisy):
    half = {item: f"half {place // 30}" for place, item in enumerate(noisy.rows["item"])}
    table = before_after(run.first.classifier, run.second.classifier, noisy, categories=half)
    assert table.index.tolist() == ["half 0", "half 1", "all"]
    assert table["n"].tolist() == [30, 30, 60]
    right = right_labels(run.first.classifier, noisy)
    assert table.loc["half 0", "accuracy_before"] == pytest.approx(right[:30].mean())


def test_an_expression_is_read_before_anything_is_trained(classifier, noisy):
    with pytest.raises(ModelError, match="there is e1 to e6"):
        train_on_mistakes(classifier, noisy, "e7", method=QUICK)


class Stop:
    """An observer that interrupts the training after its second epoch."""

    def after_epoch(self, epoch, classifier):
        if epoch == 2:
            raise KeyboardInterrupt


def test_an_interrupted_training_goes_on_with_what_was_recorded(classifier, noisy, run, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(
            classifier,
            noisy,
            method=QUICK,
            folder=tmp_path,
            observers=[MistakeRecorder(noisy), Stop()],
        )
    recorder = MistakeRecorder(noisy)

    class Watch:
        """An observer that notes which epochs it is shown."""

        seen: list[int] = []  # noqa: RUF012

        def after_epoch(self, epoch, classifier):
            self.seen.append(epoch)

    watch = Watch()
    train(classifier, noisy, method=QUICK, folder=tmp_path, observers=[recorder, watch])
    assert watch.seen == [2, 3, 4, 5, 6]
    found = recorder.record()
    assert np.abs(found.probabilities - run.record.probabilities).max() < SAME
    pd.testing.assert_frame_equal(mistaken_set(noisy, found, "e4 & e5").rows, run.chosen.rows)


def test_both_stages_go_on_from_their_folder(classifier, noisy, run, tmp_path):
    first = train_on_mistakes(classifier, noisy, "e4 & e5", method=QUICK, folder=tmp_path)
    again = train_on_mistakes(classifier, noisy, "e4 & e5", method=QUICK, folder=tmp_path)
    assert np.array_equal(first.record.probabilities, again.record.probabilities)
    assert np.abs(first.record.probabilities - run.record.probabilities).max() < SAME
    same = label_probabilities(first.second.classifier, noisy)
    assert np.abs(label_probabilities(again.second.classifier, noisy) - same).max() < SAME


def test_a_trained_encoder_is_ranked_before_a_random_one(classifier, run):
    fresh = examples(30, seed=5, pairs=False)
    table = rank_encoders(fresh, {"random": classifier, "trained": run.first.classifier})
    assert table.index[0] == "trained"
    assert (table["n_features"] == 32).all()
    assert table["neighbour_accuracy"].iloc[0] > table["neighbour_accuracy"].iloc[1]
