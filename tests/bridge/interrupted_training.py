"""A training that a signal ends: run by tests as a program of its own.

Arguments: folder of the encoder, folder of the run, name of a signal, and when it comes.
"""

import os
import signal
import sys
from pathlib import Path

import torch

from irtkit.bridge.training import checkpoints, listener
from irtkit.bridge.training.classifiers import TransformerClassifier
from irtkit.bridge.training.train import Training, train
from tests.bridge.tiny import LABELS, examples

METHOD = Training(epochs=3, learning_rate=1e-3, batch_size=8, accumulate=2, checkpoint_every=2)


class Tally:
    """An observer that counts epochs and keeps its count with the checkpoints."""

    def __init__(self, when="", strike=None):
        self.epochs, self.when, self.strike = [], when, strike

    def after_epoch(self, epoch, classifier):
        self.epochs.append([epoch, float(classifier.probabilities(examples(3).rows)[0, 0])])
        if self.when == f"observer {epoch}":
            self.strike()

    def state(self):
        return {"epochs": self.epochs}

    def restore(self, state):
        self.epochs = state["epochs"]


def whole(encoder, folder=None, *, when="", strike=None):
    """Train on 44 examples: three steps an epoch, the last with one batch, which is short."""

    def progress(done, of_all):
        if when == f"step {done}":
            strike()

    tally = Tally(when, strike)
    run = train(
        TransformerClassifier.load(encoder, LABELS),
        examples(44),
        method=METHOD,
        development=examples(9, first=100),
        folder=folder,
        observers=[tally],
        progress=progress,
    )
    return run, tally.epochs


def main():
    torch.set_num_threads(1)
    encoder, folder, name, when = sys.argv[1:]

    def strike():
        os.kill(os.getpid(), getattr(signal, name))

    if when.startswith("sealing"):  # in the middle of writing a checkpoint
        seal = checkpoints.seal

        def broken(checkpoint, *given):
            if checkpoint.name == f"checkpoint-{when.split()[1]}":
                strike()
            seal(checkpoint, *given)

        listener.checkpoints.seal = broken
    whole(Path(encoder), Path(folder), when=when, strike=strike)


if __name__ == "__main__":
    main()
