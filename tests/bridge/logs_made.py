"""Small logs of every format, written as the tools write them, all telling the same story.

Model `a` answers q1 and q3 right, model `b` only q2; there are four items.
"""

import hashlib
import json
import struct
import zipfile
import zlib
from pathlib import Path

import pandas as pd
import pytest

pyarrow = pytest.importorskip("pyarrow")

QUESTIONS = {"q1": "How many legs?", "q2": "Which colour?", "q3": "Who won?", "q4": "Why?"}
RIGHT = {"a": (1, 0, 1, 0), "b": (0, 1, 0, 0)}
DATE = "2026-01-02T03-04-05.678901"


def lines(path: Path, rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def document(path: Path, value) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def doc_hash(item: str) -> str:
    return hashlib.sha256(item.encode()).hexdigest()


def lm_eval_line(number: int, item: str, **scores) -> dict:
    return {
        "doc_id": number,
        "doc": {"question": QUESTIONS.get(item, item), "answer": "x"},
        "target": "x",
        "arguments": {"gen_args_0": {"arg_0": f"Q: {item}\nA:", "arg_1": {"until": ["\n"]}}},
        "resps": [["x"]],
        "filtered_resps": ["x"],
        "filter": "none",
        "metrics": list(scores),
        "doc_hash": doc_hash(item),
        "prompt_hash": "0",
        "target_hash": "0",
        **scores,
    }


def lm_eval(folder: Path, model: str, task: str = "quiz", right=None) -> Path:
    grades = right or RIGHT[model]
    rows = [
        lm_eval_line(n, item, acc=float(grade))
        for n, (item, grade) in enumerate(zip(QUESTIONS, grades, strict=True))
    ]
    return lines(folder / f"org__{model}" / f"samples_{task}_{DATE}.jsonl", rows)


def choice_line(number: int, item: str, likelihoods, target: str, **scores) -> dict:
    """A line of an old file: multiple choice, without filter and metrics."""
    row = lm_eval_line(number, item, **scores)
    for name in ("filter", "metrics"):
        del row[name]
    answered = [[str(value), "False"] for value in likelihoods]
    calls = {f"gen_args_{n}": {"arg_0": "Q", "arg_1": f" option {n}"} for n in range(3)}
    return row | {
        "filtered_resps": answered,
        "resps": [[pair] for pair in answered],
        "target": target,
        "arguments": calls,
    }


def inspect_sample(item: str, value, epoch: int = 1, **fields) -> dict:
    return {
        "id": item,
        "epoch": epoch,
        "input": QUESTIONS.get(item, item),
        "choices": ["yes", "no"],
        "target": "A",
        "scores": {"choice": {"value": value, "answer": "A"}},
        **fields,
    }


def inspect_log(model: str, samples=None, task: str = "suite/quiz", **fields) -> dict:
    if samples is None:
        grades = ["IC"[grade] for grade in RIGHT[model]]
        samples = [inspect_sample(*pair) for pair in zip(QUESTIONS, grades, strict=True)]
    spec = {"task": task, "model": f"org/{model}", "config": {"epochs": 1}}
    return {"version": 2, "status": "success", "eval": spec, "samples": samples, **fields}


def inspect_members(model: str, samples=None, **fields) -> dict[str, bytes]:
    log = inspect_log(model, samples, **fields)
    samples = log.pop("samples")
    summaries = [{k: v for k, v in s.items() if k != "attachments"} for s in samples]
    members = {"header.json": log, "summaries.json": summaries}
    for sample in samples:
        members[f"samples/{sample['id']}_epoch_{sample['epoch']}.json"] = sample
    return {name: json.dumps(value).encode() for name, value in members.items()}


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def zstandard(path: Path, members: dict[str, bytes]) -> Path:
    """Write a zip whose members are compressed with Zstandard, as recent logs are."""
    body, listing = b"", b""
    for name, content in members.items():
        packed = pyarrow.compress(content, codec="zstd", asbytes=True)
        head = struct.pack(
            *("<HHHHHIIIHH", 63, 0, 93, 0, 0, zlib.crc32(content), len(packed), len(content)),
            *(len(name), 0),
        )
        central = struct.pack("<HHHII", 0, 0, 0, 0, len(body))
        listing += b"PK\x01\x02" + struct.pack("<H", 63) + head + central + name.encode()
        body += b"PK\x03\x04" + head + name.encode() + packed
    size = len(members)
    end = struct.pack("<HHHHIIH", 0, 0, size, size, len(listing), len(body), 0)
    path.write_bytes(body + listing + b"PK\x05\x06" + end)
    return path


def helm_stat(name: str, mean, split: str = "test", **more) -> dict:
    return {"name": {"name": name, "split": split, **more}, "count": 1, "sum": mean, "mean": mean}


def helm(folder: Path, model: str, rows=None, name: str = "quiz:subject=all,model=org_{}") -> Path:
    run = folder / f"run-{model}"
    grades = zip(QUESTIONS, RIGHT[model], strict=True)
    rows = rows or [
        {
            "instance_id": item,
            "train_trial_index": 0,
            "stats": [helm_stat("num_references", 4), helm_stat("exact_match", float(grade))],
        }
        for item, grade in grades
    ]
    document(run / "per_instance_stats.json", rows)
    adapter = {"method": "generation", "model": f"org/{model}"}
    document(run / "run_spec.json", {"name": name.format(model), "adapter_spec": adapter})
    states = [
        {
            "instance": {
                "id": item,
                "input": {"text": text},
                "references": [{"output": {"text": "yes"}}, {"output": {"text": "no"}}],
            }
        }
        for item, text in QUESTIONS.items()
    ]
    document(run / "scenario_state.json", {"request_states": states})
    return run


def lighteval(folder: Path, model: str, names=("__doc__", "__metric__"), metrics=None) -> Path:
    path = folder / "details" / "org" / model / DATE / f"details_quiz|0_{DATE}.parquet"
    path.parent.mkdir(parents=True)
    held = metrics or [{"em": float(grade), "length": 3.0} for grade in RIGHT[model]]
    documents = [
        {"id": item, "task_name": "quiz|0", "query": text, "choices": ["yes", "no"]}
        for item, text in QUESTIONS.items()
    ]
    pd.DataFrame({names[0]: documents, names[1]: held}).to_parquet(path)
    return path


def every_eval_line(model: str, item: str, grade: float, **fields) -> dict:
    return {
        "schema_version": "0.2",
        "evaluation_id": "e1",
        "model_id": f"org/{model}",
        "evaluation_name": "quiz",
        "sample_id": item,
        "sample_hash": doc_hash(item),
        "interaction_type": "single_turn",
        "input": {"raw": QUESTIONS.get(item, item), "reference": ["x"], "choices": ["yes", "no"]},
        "output": {"raw": ["x"]},
        "answer_attribution": [],
        "evaluation": {"score": grade, "is_correct": grade == 1},
        **fields,
    }


def every_eval_ever(folder: Path, model: str) -> Path:
    pairs = zip(QUESTIONS, RIGHT[model], strict=True)
    rows = [every_eval_line(model, item, grade) for item, grade in pairs]
    return lines(folder / f"{model}_samples.jsonl", rows)


def openai_event(number: int, item: str, kind: str, **data) -> dict:
    return {"run_id": "r", "event_id": number, "sample_id": item, "type": kind, "data": data}


def openai_evals(folder: Path, model: str) -> Path:
    rows = [{"spec": {"completion_fns": [f"org/{model}"], "eval_name": "quiz.v0", "run_id": "r"}}]
    for number, (item, grade) in enumerate(zip(QUESTIONS, RIGHT[model], strict=True)):
        prompt = [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": QUESTIONS[item]},
        ]
        rows.append(openai_event(2 * number, item, "sampling", prompt=prompt, sampled=["x"]))
        match = {"correct": bool(grade), "expected": "x", "picked": "y"}
        rows.append(openai_event(2 * number + 1, item, "match", **match))
    rows.append({"final_report": {"accuracy": 0.5}})
    return lines(folder / f"{model}.jsonl", rows)


def py_irt(path: Path) -> Path:
    rows = [
        {"subject_id": f"org/{model}", "responses": dict(zip(QUESTIONS, grades, strict=True))}
        for model, grades in RIGHT.items()
    ]
    return lines(path, rows)
