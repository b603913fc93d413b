"""Section F: training a classifier, and what stops it."""

import json
import signal
from dataclasses import replace

import pandas as pd
import pytest

from irtkit import cli
from irtkit.bridge.finetuning.files import write_finetuning_set
from tests.bad_inputs.catalogue import check_refusal, holds, refused
from tests.bad_inputs.scales_made import six

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from irtkit.bridge.training import run  # noqa: E402
from tests.bridge.tiny import encoder_folder, examples  # noqa: E402

QUICK = ["--labels", "no,perhaps,yes", "--learning-rate", 0.003, "--batch-size", 16]
WRITTEN = ["classifier", "history.csv", "run"]


def training(bench, *options, made=None, model="nse"):
    """Write a set and give the words that train on it."""
    path = bench.folder / "set.jsonl"
    write_finetuning_set(examples(48) if made is None else made, path)
    bench.written.append(path)
    return ["finetune", path, "--model", model, *QUICK, "--epochs", 1, *options, "-o", "out"]


def encoder(bench):
    encoder_folder(bench.folder / "encoder")
    return bench.folder / "encoder"


def no_gpu(bench):
    bench.patch.setattr("torch.cuda.is_available", lambda: False)


@refused(118, "The device cuda was asked for.*cpu", about=None)
def no_gpu_for_training(bench):
    no_gpu(bench)
    return training(bench, "--device", "cuda")


@refused(118, "cuda", about=None)
def no_gpu_for_calibrating(bench):
    no_gpu(bench)
    path = bench.write("answers.csv", "id,x,y,z\na,0,1,0\nb,1,0,1\nc,1,1,0\nd,0,0,1\n")
    return ["calibrate", path, "--backend", "torch", "--device", "cuda", "-o", "c.json"]


def trainer():
    return next(
        kind
        for kind in vars(run).values()
        if isinstance(kind, type)
        and "compute_loss" in vars(kind)
        and kind.__module__ == run.__name__
    )


@holds(119, "refused, exit 3")
def memory_that_does_not_suffice(bench):
    words = training(bench, "--epochs", 2, "--checkpoint-every", 1)
    plain = trainer().compute_loss
    steps = []

    def loss(self, *given, **more):
        steps.append(1)
        if len(steps) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(self, *given, **more)

    bench.patch.setattr(trainer(), "compute_loss", loss)
    ran = bench.run(*words)
    assert ran.code == 3
    check_refusal(
        ran.err, "batches of 16 items.*batch_size=8 with accumulate=2.*checkpoint is kept"
    )
    assert len(list((bench.folder / "out" / "run").glob("checkpoint-*/record.json"))) == 1
    assert not (bench.folder / "out" / "classifier").exists()
    bench.patch.setattr(trainer(), "compute_loss", plain)
    assert bench.run(*words, "--resume").code == 0


@holds(120, "refused, exit 3")
def loss_that_is_no_number(bench):
    words = training(bench)
    plain = run.LOSSES["cross_entropy"]
    bench.patch.setitem(run.LOSSES, "cross_entropy", lambda *given: plain(*given) * float("nan"))
    ran = bench.run(*words)
    assert ran.code == 3
    check_refusal(ran.err, r"loss is no longer a number at step 1, with the items 'q\d+'")
    known = (bench.folder / "out" / "run").glob("*.json")
    (found,) = [path for path in known if path.name != "run.json"]
    named = json.loads(found.read_text())
    assert named["step"] == 1
    assert len(named["items"]) == 16


def interrupted(bench, number):
    """Train until a signal comes in the middle of the third step; return how it ended."""
    plain = trainer().compute_loss
    steps = []

    def loss(self, *given, **more):
        steps.append(1)
        if len(steps) == 3:
            signal.raise_signal(number)
        return plain(self, *given, **more)

    bench.patch.setattr(trainer(), "compute_loss", loss)
    ran = bench.run(*training(bench, "--epochs", 5))
    assert ran.out == ""
    assert "Traceback" not in ran.err
    return ran.code


def check_kept(bench):
    """Check that the interrupted run can go on where it was."""
    (kept,) = (bench.folder / "out" / "run").glob("checkpoint-*")
    assert kept.name == "checkpoint-3"
    assert not (bench.folder / "out" / "classifier").exists()


@holds(121, "exit 130, checkpoint")
def interrupted_training(bench):
    assert interrupted(bench, signal.SIGINT) == 130
    check_kept(bench)


@holds(121, "exit 143, checkpoint")
def terminated_training(bench):
    before = signal.signal(signal.SIGTERM, cli._terminate)
    try:
        with pytest.raises(SystemExit) as told:
            interrupted(bench, signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert told.value.code == 143
    check_kept(bench)


@holds(123, "accepted")
def damaged_checkpoint_of_a_killed_run(bench):
    words = training(bench)
    assert bench.run(*words).code == 0
    history = pd.read_csv(bench.folder / "out" / "history.csv")
    half = bench.folder / "out" / "run" / "checkpoint-99"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    ran = bench.run(*words, "--resume")
    assert ran.code == 0, ran.err
    assert pd.read_csv(bench.folder / "out" / "history.csv").equals(history)


@holds(124, "refused, exit 4")
def run_of_other_data_or_options(bench):
    words = training(bench)
    assert bench.run(*words).code == 0
    before = bench.tree()
    for more in (["--seed", 1], ["--warmup", 0.2]):
        ran = bench.run(*words, "--resume", *more)
        assert ran.code == 4
        check_refusal(ran.err, "out/run holds a run with other .*'options', which.*another folder")
    write_finetuning_set(examples(48, seed=5), bench.folder / "set.jsonl", overwrite=True)
    ran = bench.run(*words, "--resume")
    assert ran.code == 4
    check_refusal(ran.err, "holds a run with other 'training examples'")
    after = bench.tree()
    assert {name: state for name, state in after.items() if name.startswith("out")} == {
        name: state for name, state in before.items() if name.startswith("out")
    }


@refused(125, "set.jsonl.*empty")
def empty_training_set(bench):
    return ["finetune", bench.write("set.jsonl", ""), "--model", "nse", "-o", "out"]


@refused(125, "Every example .* has the label 'yes'.*another label", about="set")
def training_set_of_one_label(bench):
    made = examples(48)
    made.rows["label"] = 2
    made.rows["label_distribution"] = [[0.0, 0.0, 1.0]] * 48
    return training(bench, made=made)


@holds(125, "accepted, noted")
def label_with_one_example(bench):
    made = examples(48)
    rows = made.rows[(made.rows["label"] != 2) | (made.rows["label"].eq(2).cumsum() == 1)]
    ran = bench.run(*training(bench, made=replace(made, rows=rows.reset_index(drop=True))))
    assert ran.code == 0, ran.err
    assert "The label 'yes' has 1 example in the set" in ran.err
    assert "too few to learn it from" in ran.err


@refused(126, "48 items of the development set also in training", about=None)
def development_set_that_is_the_training_set(bench):
    return training(bench, "--development", bench.folder / "set.jsonl")


@refused(126, "held-out scale.*'i1'|'i1'.*held-out", about=None)
def scale_to_measure_on_that_is_trained_on(bench):
    path = bench.write("six.json", six())
    rows = "".join(f"i{n},words {n}\n" for n in range(1, 7))
    texts = bench.write("texts.csv", "item,text\n" + rows)
    return ["export", path, "--held-out", path, "--texts", texts, "-o", "set.jsonl"]


@refused(127, "pickle.*safetensors|safetensors.*pickle", about="encoder", code=4)
def model_with_pickled_weights(bench):
    folder = encoder(bench)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    return training(bench, model=folder)


@refused(127, "code", about="encoder", code=4)
def model_that_brings_code(bench):
    folder = encoder(bench)
    config = json.loads((folder / "config.json").read_text())
    config |= {"auto_map": {"AutoModelForSequenceClassification": "evil.Model"}}
    del config["model_type"]
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text("raise SystemExit('it was run')")
    return training(bench, model=folder)


@holds(128, "accepted, noted")
def texts_longer_than_the_model_reads(bench):
    words = training(bench, "--max-length", 4)
    ran = bench.run(*words)
    assert ran.code == 0, ran.err
    texts = examples(48).rows[["text", "text_pair"]].to_numpy()
    cut = sum(any(len(text.split()) > 4 for text in pair) for pair in texts)
    assert cut > 9
    assert f"{cut} texts were longer than the model reads, and were cut" in ran.out
