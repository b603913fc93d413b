"""What happens around the steps of a training run: records, epochs, checkpoints, signals.

The Trainer calls a `Listener` after each step and epoch. It computes the development loss, shows
the classifier to observers, remembers the best weights, asks for checkpoints and seals them, and
turns a signal into a last checkpoint.
"""

from __future__ import annotations

import json
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor
from transformers import TrainerCallback, TrainerControl, TrainerState

from irtkit.bridge.finetuning.examples import FinetuningSet
from irtkit.bridge.training import checkpoints
from irtkit.bridge.training.answers import probabilities_of
from irtkit.bridge.training.classifiers import Trainable, logits
from irtkit.bridge.training.losses import LOSSES
from irtkit.bridge.training.train import Observer, Progress, Resumable, Work, gold_of, targets_of
from irtkit.bridge.training.weights import weights_of
from irtkit.errors import FileError, NotConverged, listing
from irtkit.io.files import write_atomically

BEST = "best.safetensors"
STOPPED = "stopped.json"
SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(slots=True)
class Record:
    """What a run has found so far; kept with each checkpoint."""

    losses: list[float] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    finished: bool = False
    observers: list[Any] = field(default_factory=list)


class Interrupted(Exception):
    """A signal came, and the checkpoint that it asked for is written."""


class Listener(TrainerCallback):
    """Listens to one run.

    Attributes
    ----------
    record : Record
    best : dict of tensors
        The trained weights after the best epoch, on the CPU; empty before the first.
    step_loss : float
        Loss of the step at hand, to which the Trainer adds.
    items : list
        The items of the step at hand.
    caught : int
        The signal that came, or 0.
    """

    def __init__(
        self,
        work: Work,
        live: Trainable,
        folder: Path | None,
        observers: tuple[Observer, ...],
        progress: Progress | None,
    ) -> None:
        self.work, self.live, self.folder = work, live, folder
        self.observers, self.progress = observers, progress
        self.record = Record()
        self.best: dict[str, Tensor] = {}
        self.step_loss, self.caught = 0.0, 0
        self.items: list[Any] = []

    def take_up(self, record: Record, best: dict[str, Tensor]) -> None:
        """Go on from a checkpoint."""
        self.record, self.best = record, best
        for observer, state in zip(self.observers, record.observers, strict=True):
            if isinstance(observer, Resumable):
                observer.restore(state)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Stop before a gradient that is no number reaches the weights."""
        if self.work.method.precision == "float16":
            return  # the scaler of losses leaves such steps out by itself
        found = [p.grad for p in given["model"].parameters() if p.grad is not None]
        if not torch.isfinite(torch.nn.utils.get_total_norm(found)):
            raise self.diverged("gradient", state.global_step + 1)

    def on_step_end(
        self, args: Any, state: TrainerState, control: TrainerControl, **given: Any
    ) -> None:
        """Keep the loss; ask for a checkpoint where one is due. An epoch's end has its own."""
        self.record.losses.append(self.step_loss)
        if self.progress is not None:
            self.progress(state.global_step, state.max_steps)
        every = self.work.method.checkpoint_every
        due = every is not None and state.global_step % every == 0
        ends = state.global_step % (state.max_steps // self.work.method.epochs) == 0
        control.should_save = self.folder is not None and (due or self.caught > 0) and not ends

    def on_epoch_end(
        self, args: Any, state: TrainerState, control: TrainerControl, **given: Any
    ) -> None:
        """Look at the classifier: development loss, observers, whether to stop."""
        record, method = self.record, self.work.method
        before = int(record.history[-1]["step"]) if record.history else 0
        row = {
            "epoch": len(record.history) + 1,
            "step": state.global_step,
            "loss": float(np.mean(record.losses[before:])),
            **developed(self.live, self.work.development, method.loss),
        }
        record.history.append(row)
        if self.work.development is None or row["development_loss"] <= min(
            past["development_loss"] for past in record.history
        ):
            record.best_epoch = len(record.history)
            self.best = weights_of(self.live.module, trained_only=True)
        for observer in self.observers:
            observer.after_epoch(len(record.history), self.live)
        waited = len(record.history) - record.best_epoch
        if method.patience is not None and waited >= method.patience:
            control.should_training_stop = True
        record.finished = control.should_training_stop or len(record.history) == method.epochs
        control.should_save = self.folder is not None

    def on_save(
        self, args: Any, state: TrainerState, control: TrainerControl, **given: Any
    ) -> None:
        """Make the checkpoint count and drop the one before; leave if a signal came."""
        assert self.folder is not None
        self.record.observers = [
            one.state() if isinstance(one, Resumable) else None for one in self.observers
        ]
        only = BEST if self.record.finished else None
        with self.writing(state.global_step) as checkpoint:
            (checkpoint / "training_args.bin").unlink(missing_ok=True)  # a pickle that none reads
            if self.best:
                save_file(self.best, checkpoint / BEST)
            checkpoints.seal(checkpoint, asdict(self.record), only)
        checkpoints.keep_only(self.folder, checkpoint)
        if self.caught:
            raise Interrupted

    @contextmanager
    def writing(self, step: int) -> Iterator[Path]:
        """Say it in a sentence where a checkpoint cannot be written, and leave no half of it."""
        assert self.folder is not None
        checkpoint = self.folder / f"checkpoint-{step}"
        try:
            yield checkpoint
        except (OSError, RuntimeError, SafetensorError) as error:
            shutil.rmtree(checkpoint, ignore_errors=True)
            reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:300]
            raise FileError(
                f"The checkpoint at step {step} cannot be written into {self.folder}: {reason}. "
                "The checkpoint before is kept; the same command goes on from it."
            ) from error

    def diverged(self, what: str, step: int) -> NotConverged:
        """Say where the loss or the gradient is no longer a number, and write it down."""
        kept = ""
        if self.folder is not None:
            found = json.dumps({"what": what, "step": step, "items": self.items}, default=str)
            write_atomically(self.folder / STOPPED, found.encode())
            kept = f" The last checkpoint is kept, and {STOPPED} names all items."
        return NotConverged(
            f"The {what} is no longer a number at step {step}, with the items "
            f"{listing(self.items)}. Look at their targets and weights; else a smaller "
            f"learning_rate, or the precision bfloat16 or float32, may help.{kept}"
        )


def developed(live: Trainable, development: FinetuningSet | None, loss: str) -> dict[str, float]:
    """Measure loss and accuracy on the development set; NaN without one."""
    if development is None:
        return {"development_loss": float("nan"), "development_accuracy": float("nan")}
    found = logits(live, development.rows)  # (N, L)
    targets = targets_of(development, live.labels)  # (N, L)
    weights = development.rows["weight"].to_numpy(float).copy()
    value = LOSSES[loss](
        torch.from_numpy(found), torch.from_numpy(targets), torch.from_numpy(weights)
    )
    chosen = probabilities_of(found, live.labels).argmax(axis=1)
    right = chosen == gold_of(development, live.labels)
    return {"development_loss": value.item(), "development_accuracy": float(right.mean())}


@contextmanager
def told_by_signal(listener: Listener) -> Iterator[None]:
    """Let a signal ask for a checkpoint first, and take effect afterwards; a second one at once.

    Without a folder for checkpoints, or off the main thread, signals do what they always do.
    """
    if listener.folder is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    known = {number: signal.getsignal(number) for number in SIGNALS}

    def catch(number: int, frame: Any) -> None:
        listener.caught = number
        for each, handler in known.items():
            signal.signal(each, handler)

    for number, handler in known.items():
        if handler not in (signal.SIG_IGN, None):
            signal.signal(number, catch)
    try:
        yield
    except Interrupted:
        restore(known)
        signal.raise_signal(listener.caught)
        raise KeyboardInterrupt from None
    finally:
        restore(known)


def restore(known: dict[signal.Signals, Any]) -> None:
    """Put signal handlers back."""
    for number, handler in known.items():
        if handler is not None:
            signal.signal(number, handler)
