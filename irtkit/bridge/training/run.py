"""One training run on the `Trainer` of the Transformers library, readable from top to bottom.

`trained` copies the network, hands it to the Trainer with our own loss, and gives back what came
of it. The network never sees the targets, so that it cannot compute a loss of its own. What
happens between the steps is in `listener.py`.
"""

from __future__ import annotations

import copy
import random
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel, PrinterCallback, Trainer, TrainingArguments

from irtkit.bridge.training import checkpoints
from irtkit.bridge.training.answers import outputs_of
from irtkit.bridge.training.extras import extra
from irtkit.bridge.training.fingerprints import identity
from irtkit.bridge.training.listener import BEST, Listener, Record, told_by_signal
from irtkit.bridge.training.losses import LOSSES
from irtkit.bridge.training.pretrained import quiet
from irtkit.bridge.training.train import (
    Observer,
    Progress,
    Training,
    TrainingRun,
    Work,
    targets_of,
)
from irtkit.bridge.training.weights import save_weights
from irtkit.errors import NotConverged, count

HISTORY = ("epoch", "step", "loss", "development_loss", "development_accuracy")


def trained(
    work: Work, folder: Path | None, observers: tuple[Observer, ...], progress: Progress | None
) -> TrainingRun:
    """Train a copy of the classifier, or go on with it; see `training.train`."""
    found = None
    if folder is not None:
        checkpoints.claim(folder, identity(work))
        found = checkpoints.newest(folder)
        checkpoints.keep_only(folder, None if found is None else found[0])
    with own_randomness(work.method.seed), quiet():
        network = adapted(copy.deepcopy(work.classifier), work.method)
        live = replace(work.classifier, module=network)
        listener = Listener(work, live, folder, observers, progress)
        if found is not None:
            checkpoint, record = found
            best = checkpoint / BEST
            listener.take_up(Record(**record), load_file(best) if best.exists() else {})
        if not listener.record.finished:
            run(listener, None if found is None else found[0])
        network.load_state_dict(listener.best, strict=False)
    return result(listener)


def result(listener: Listener) -> TrainingRun:
    """Put together what a run has found."""
    work, record = listener.work, listener.record
    texts = work.examples.rows
    return TrainingRun(
        classifier=replace(work.classifier, module=merged(listener.live.module)),
        history=pd.DataFrame(record.history, columns=list(HISTORY)),
        losses=np.array(record.losses),
        best_epoch=record.best_epoch,
        n_truncated=int(work.classifier.truncated(texts).sum()),
        method=work.method,
        notes=work.notes,
    )


def run(listener: Listener, checkpoint: Path | None) -> None:
    """Let the Trainer do the steps that are left."""
    method = listener.work.method
    with tempfile.TemporaryDirectory() as temporary:
        trainer = ClassifierTrainer(listener, arguments(method, listener.folder or temporary))
        try:
            with told_by_signal(listener):
                trainer.train(
                    resume_from_checkpoint=None if checkpoint is None else str(checkpoint)
                )
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            raise NotConverged(no_room(method)) from error
        finally:
            trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)


class ClassifierTrainer(Trainer):
    """The library's Trainer with our loss, weighted over all the batches of a step."""

    def __init__(self, listener: Listener, arguments: TrainingArguments) -> None:
        work, live = listener.work, listener.live
        rows = work.examples.rows
        texts = rows[[name for name in ("text", "text_pair") if name in rows]]
        self.targets = torch.from_numpy(targets_of(work.examples, live.labels)).float()  # (N, L)
        self.weights = torch.tensor(rows["weight"].to_numpy(float)).float()  # (N,)
        self.listener = listener
        self.loss = LOSSES[work.method.loss]

        def collate(places: list[int]) -> dict[str, Any]:
            """Encode the texts of some rows."""
            inputs = dict(work.classifier.encode(texts.iloc[places]))
            chosen = torch.tensor(places)
            return {
                "inputs": inputs,
                "targets": self.targets[chosen],
                "weights": self.weights[chosen],
                "places": chosen,
            }

        counted = [place for place, weight in enumerate(rows["weight"]) if weight > 0]
        super().__init__(
            model=live.module,
            args=arguments,
            data_collator=collate,
            train_dataset=counted,
            callbacks=[listener],
        )
        self.remove_callback(PrinterCallback)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: Any
    ) -> tuple[list[Any], None]:
        """Take the batches of a step, and remember what they weigh together."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        self.n_batches = len(batches)
        self.weight = sum(batch["weights"].sum() for batch in batches)
        places = [place for batch in batches for place in batch["places"].tolist()]
        self.listener.items = self.listener.work.examples.rows["item"].iloc[places].tolist()
        self.listener.step_loss = 0.0
        return batches, None

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Tensor:
        """Give this batch's share of the loss, times the number by which the Trainer divides."""
        found = outputs_of(model(**inputs["inputs"])).float()  # (B, L)
        share = inputs["weights"].sum() / self.weight
        loss = self.loss(found, inputs["targets"], inputs["weights"]) * share
        if not torch.isfinite(loss):
            raise self.listener.diverged("loss", self.state.global_step + 1)
        self.listener.step_loss += loss.item()
        return loss * self.n_batches

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save a network of any kind; the library saves its own."""
        network: Any = self.model
        if isinstance(network, PreTrainedModel) or hasattr(network, "peft_config"):
            super().save_model(output_dir, _internal_call)
            return
        save_weights(network, output_dir or str(self.args.output_dir))

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Say it in a sentence where a checkpoint cannot be written, and leave no half of one."""
        with self.listener.writing(self.state.global_step):
            super()._save_checkpoint(model, trial)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Count nothing."""
        return 0


def arguments(method: Training, folder: Path | str) -> TrainingArguments:
    """Say to the Trainer what is ours to say; saving and evaluating are the listener's."""
    warmup = min(method.warmup, 0.999999)  # from 1 it would be a number of steps
    made = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=method.epochs,
        learning_rate=method.learning_rate,
        per_device_train_batch_size=method.batch_size,
        gradient_accumulation_steps=method.accumulate,
        weight_decay=method.weight_decay,
        warmup_steps=warmup,
        max_grad_norm=method.clip,
        bf16=method.precision == "bfloat16",
        fp16=method.precision == "float16",
        use_cpu=method.device == "cpu",
        seed=method.seed,
        data_seed=method.seed,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=method.device == "cuda",
    )
    made._n_gpu = min(made.n_gpu, 1)  # one network on one device
    return made


def adapted(classifier: Any, method: Training) -> Any:
    """Give the network to train: all of it, or with low-rank adapters."""
    network = classifier.module.to(method.device)
    if method.lora is None:
        return network
    peft = extra("peft")
    config = peft.LoraConfig(
        task_type="SEQ_CLS",
        r=method.lora.rank,
        lora_alpha=method.lora.alpha,
        lora_dropout=method.lora.dropout,
        target_modules=list(method.lora.modules) or None,
    )
    with warnings.catch_warnings():  # PEFT still uses names that Transformers retires
        warnings.simplefilter("ignore", FutureWarning)
        return peft.get_peft_model(network, config)


def merged(network: Any) -> Any:
    """Fold adapters into the network, and leave it ready to answer."""
    if hasattr(network, "merge_and_unload"):
        network = network.merge_and_unload()
    return network.eval()


def out_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that memory ran out."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        "can't allocate memory" in str(error) or "out of memory" in str(error)
    )


def no_room(method: Training) -> str:
    """Say that memory ran out, and what to do."""
    has = ""
    if method.device == "cuda":
        has = f" of {torch.cuda.get_device_properties(0).total_memory / 2**30:.0f} GiB"
    half = max(method.batch_size // 2, 1)
    return (
        f"The memory{has} does not suffice for batches of {count(method.batch_size, 'item')}. "
        f"batch_size={half} with accumulate={2 * method.accumulate} takes the same steps with "
        "about half of it; lora and bfloat16 take less too. The last checkpoint is kept."
    )


@contextmanager
def own_randomness(seed: int) -> Iterator[None]:
    """Seed every generator that the libraries draw from, and put them back afterwards."""
    states = random.getstate(), np.random.get_state()  # noqa: NPY002
    devices = [0] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002
