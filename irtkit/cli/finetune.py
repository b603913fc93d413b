"""The command that trains a classifier on a fine-tuning set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from irtkit import terminal
from irtkit.bridge.finetuning.examples import FinetuningSet
from irtkit.bridge.finetuning.reading import read_finetuning_set
from irtkit.bridge.mistakes import MistakeRecorder, write_data_map
from irtkit.bridge.training.classifiers import (
    Trainable,
    TransformerClassifier,
    read_classifier,
    write_classifier,
)
from irtkit.bridge.training.extras import extra
from irtkit.bridge.training.train import LOSS_NAMES, PRECISIONS, LoRA, Training, TrainingRun, train
from irtkit.cli.group import cli
from irtkit.cli.outputs import hold
from irtkit.errors import FileError
from irtkit.io import write_table
from irtkit.io.files import check_target
from irtkit.options import JSON, with_options

METHOD_OPTIONS = [
    click.option(
        "--loss",
        type=click.Choice(LOSS_NAMES),
        help="Default: cross_entropy for gold targets, soft_cross_entropy for crowd targets.",
    ),
    click.option("--epochs", type=click.IntRange(1), default=3, show_default=True),
    click.option("--learning-rate", type=float, default=2e-5, show_default=True),
    click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True),
    click.option(
        "--accumulate", type=click.IntRange(1), default=1, help="Batches to a step (default: 1)."
    ),
    click.option("--weight-decay", type=float, default=0.01, show_default=True),
    click.option("--warmup", type=float, default=0.06, help="Share of the steps (default: 0.06)."),
    click.option("--precision", type=click.Choice(PRECISIONS), default="float32"),
    click.option(
        "--patience",
        type=click.IntRange(1),
        help="Stop after so many epochs without a smaller development loss.",
    ),
    click.option(
        "--checkpoint-every", type=click.IntRange(1), help="Steps; there is one an epoch anyway."
    ),
    click.option("--lora", type=click.IntRange(1), help="Train adapters of this rank only."),
    click.option("--device", default="cpu", show_default=True, help="cpu, cuda, mps."),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True),
]


@cli.command("finetune", short_help="Train a classifier on a fine-tuning set.")
@click.argument("examples", metavar="SET", type=click.Path())
@click.option(
    "--model",
    required=True,
    help="Folder or name of a model with safetensors, a folder that this command wrote, or 'nse'.",
)
@click.option("--development", type=click.Path(), help="Set that chooses the epoch.")
@click.option("--labels", metavar="A,B,...", help="Labels, where the files do not name them.")
@click.option("--max-length", type=click.IntRange(4), default=128, help="Tokens (default: 128).")
@with_options(METHOD_OPTIONS)
@click.option("--record", is_flag=True, help="Keep what is mistaken after each epoch: mistakes/.")
@click.option("--resume", is_flag=True, help="Go on with the run in the folder.")
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    required=True,
    help="Folder for the classifier and its history.",
)
@JSON
def finetune_command(
    examples: str,
    model: str,
    development: str | None,
    labels: str | None,
    max_length: int,
    record: bool,
    resume: bool,
    output: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a classifier on SET: a folder or .jsonl file of `irtkit export`, or a table.

    The output folder gets classifier/, history.csv and, while it is needed, the checkpoints in
    run/; with --record also mistakes/, which the command mistakes reads. After an interruption,
    the same command with --resume goes on where it was.
    """
    folder = Path(output)
    _check_folder(folder, resume)
    hold(folder)
    _check_folder(folder, resume)  # another run may just have ended
    names = tuple(name.strip() for name in labels.split(",")) if labels else None
    training = read_finetuning_set(examples, labels=names)
    chosen = None
    if development is not None:
        chosen = read_finetuning_set(development, labels=training.label_set)
    method = _method(training, options)
    start = _start(model, training, max_length, method)
    recorder = MistakeRecorder(training)
    with terminal.progress_line("training") as tell:
        run = train(
            start,
            training,
            method=method,
            development=chosen,
            folder=folder / "run",
            observers=[recorder] if record else [],
            progress=lambda done, of: tell(f"step {done:,} of {of:,}", done / of),
        )
    write_classifier(run.classifier, folder / "classifier", overwrite=True)
    write_table(run.history.set_index("epoch"), folder / "history.csv")
    if record:
        write_data_map(recorder.record(), folder / "mistakes", overwrite=True)
    _show(run, len(training.rows), folder, as_json)


def _check_folder(folder: Path, resume: bool) -> None:
    """Refuse, before any work, a folder that holds something else."""
    if folder.is_dir() and any(folder.iterdir()):
        if not resume:
            raise FileError(
                f"{folder} exists. Say --resume to go on with the run in it, or choose another "
                "name."
            )
        if not (folder / "run").is_dir():
            raise FileError(f"{folder} holds no run to go on with. Choose another name.")
        return
    check_target(folder, overwrite=True, folder=True)


def _method(training: FinetuningSet, options: dict[str, Any]) -> Training:
    loss = "cross_entropy" if training.target == "gold" else "soft_cross_entropy"
    rank = options.pop("lora")
    options["loss"] = options["loss"] or loss
    return Training(**options, lora=None if rank is None else LoRA(rank))


def _start(model: str, training: FinetuningSet, max_length: int, method: Training) -> Trainable:
    """Load or make the classifier to start from."""
    labels = training.label_set
    if model == "nse" and not Path(model).exists():
        made: Trainable = extra("irtkit.bridge.training.nse").nse_classifier(
            training.rows, labels, max_length=max_length, seed=method.seed
        )
        return made
    inner = Path(model) / "classifier"
    if (inner / "classifier.json").exists():
        return read_classifier(inner, device=method.device)
    if (Path(model) / "classifier.json").exists():
        return read_classifier(model, device=method.device)
    return TransformerClassifier.load(
        model, labels, seed=method.seed, max_length=max_length, device=method.device
    )


def _show(run: TrainingRun, n_examples: int, folder: Path, as_json: bool) -> None:
    terminal.tell_notes(run.notes)
    history = run.history.set_index("epoch")
    if as_json:
        terminal.show_json(
            {
                "output": str(folder),
                "n_examples": n_examples,
                "best_epoch": run.best_epoch,
                "n_truncated": run.n_truncated,
                "history": terminal.records(history),
                "notes": list(run.notes),
            }
        )
        return
    terminal.show_table(history, f"Training on {n_examples:,} examples")
    if run.n_truncated:
        terminal.say(f"{run.n_truncated:,} texts were longer than the model reads, and were cut.")
    terminal.say(f"The classifier after epoch {run.best_epoch} is in {folder / 'classifier'}")
