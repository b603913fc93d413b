"""``python -m benchmarks.logs``: time and memory of reading large evaluation logs.

One log of lm-evaluation-harness with `--lines` lines of about 5 KiB, and one of Inspect
(``.eval``) with a tenth as many samples, are written to a temporary folder and read, each in a
process of its own. Memory is the largest resident size, minus that before reading.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

WORDS = 300  # of an answer, six letters each
TIMES = 3  # read so often; the fastest counts


def main() -> None:
    """Write both logs, read them and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=200_000)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read is not None:
        print(json.dumps(measured(given.read)))
        return
    with tempfile.TemporaryDirectory() as folder:
        print("log | MiB | answers | seconds | MiB of memory")
        for write, size in ((harness, given.lines), (inspect, given.lines // 10)):
            path = write(Path(folder), size)
            command = [sys.executable, "-m", "benchmarks.logs", "--read", str(path)]
            run = subprocess.run(command, check=True, capture_output=True, text=True)
            seconds, memory, answers = json.loads(run.stdout)
            size_mib = path.stat().st_size / 2**20
            print(f"{path.name} | {size_mib:,.0f} | {answers:,} | {seconds:.1f} | {memory:.0f}")


def measured(path: Path) -> tuple[float, float, int]:
    """Read a log: seconds of the fastest time, MiB of memory, number of answers."""
    from irtkit.bridge.logs import read_logs

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds, answers = [], 0
    for _ in range(TIMES):
        start = time.process_time()
        answers = int(read_logs(path).n_answered().sum())
        seconds.append(time.process_time() - start)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return min(seconds), (after - before) / 1024, answers


def harness(folder: Path, size: int) -> Path:
    """Write samples of lm-evaluation-harness."""
    path, draw = folder / "samples_big.jsonl", random.Random(1)
    with path.open("w", encoding="utf-8") as stream:
        for number in range(size):
            question, answer = text(draw, 60), text(draw, WORDS)
            row = {
                "doc_id": number,
                "doc": {"question": question, "answer": "3"},
                "target": "3",
                "arguments": {"gen_args_0": {"arg_0": question, "arg_1": {"until": ["\n"]}}},
                "resps": [[answer]],
                "filtered_resps": [answer],
                "filter": "none",
                "metrics": ["exact_match"],
                "doc_hash": hashlib.sha256(str(number).encode()).hexdigest(),
                "exact_match": float(number % 3 == 0),
            }
            stream.write(json.dumps(row) + "\n")
    return path


def inspect(folder: Path, size: int) -> Path:
    """Write a log of Inspect, whose samples are large and whose summaries are short."""
    path, draw = folder / "big.eval", random.Random(1)
    spec = {"task": "big", "model": "m", "config": {"epochs": 1}}
    summaries = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(size):
            scores = {"match": {"value": "CI"[number % 2]}}
            short = {"id": number, "epoch": 1, "input": text(draw, 60), "scores": scores}
            summaries.append(short)
            full = json.dumps(short | {"messages": [text(draw, WORDS)] * 4})
            archive.writestr(f"samples/{number}_epoch_1.json", full)
        archive.writestr("summaries.json", json.dumps(summaries))
        archive.writestr("header.json", json.dumps({"status": "success", "eval": spec}))
    return path


def text(draw: random.Random, words: int) -> str:
    """Draw a text of so many words."""
    return " ".join(draw.choices(VOCABULARY, k=words))


VOCABULARY = ["".join(random.Random(n).choices("abcdefghij", k=6)) for n in range(500)]

if __name__ == "__main__":
    main()
