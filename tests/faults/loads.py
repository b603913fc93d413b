"""Programs of load, each in its own process: ``python -m tests.faults.loads NAME FOLDER LIMIT``.

The limit is of address space, in MiB above what the imports take; zero is no limit. Each prints
one JSON object: the seconds, the peak of resident memory in MiB, and what it found.
"""

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

import irtkit as irt
from irtkit.bridge.logs import read_logs
from irtkit.simulate import simulate

MIB = 2**20


def log_of_long_documents(folder):
    """A log whose lines hold large documents: only the answers may stay in memory."""
    path = folder / "samples_quiz_2026-01-02T03-04-05.678901.jsonl"
    row = {"doc": {"question": "word " * 40_000}, "target": "x", "arguments": {}, "resps": [["x"]]}
    row |= {"filtered_resps": ["x"], "filter": "none", "metrics": ["acc"]}
    text = json.dumps({**row, "prompt_hash": "0", "target_hash": "0"})[1:]
    with path.open("w") as file:
        for number in range(1000):
            head = f'{{"doc_id": {number}, "acc": {float(number % 2)}, "doc_hash": "{number:016d}"'
            file.write(f"{head}, {text}\n")
    return path


def streaming(folder):
    path = folder / "samples_quiz_2026-01-02T03-04-05.678901.jsonl"
    return {"items": read_logs([path]).n_items, "mib": path.stat().st_size / MIB}


def sparse_long(folder, n_persons=100_000, n_items=1_000, share=0.05):
    """Long format, five million answers at full size: read and calibrate."""
    path = folder / "long.csv"
    if not path.exists():
        rng = np.random.default_rng(1)
        n = int(n_persons * n_items * share)
        cells = np.unique(rng.integers(0, n_persons * n_items, n))
        person, item = np.divmod(cells, n_items)
        theta, slope = rng.normal(size=n_persons), rng.uniform(0.7, 1.8, n_items)
        logit = slope[item] * (theta[person] - rng.normal(size=n_items)[item])
        answer = (rng.random(len(cells)) < 1 / (1 + np.exp(-logit))).astype(int)
        frame = pd.DataFrame({"person": person, "item": item, "answer": answer})
        frame.to_csv(path, index=False)
        return {"answers": len(frame)}
    responses = irt.read_responses(path, layout=irt.Long())
    made = irt.calibrate(responses, irt.TwoPL(), method=irt.MML(standard_errors=None))
    return {"converged": made.converged, "items": len(made.items)}


def sparse_long_small(folder):
    return sparse_long(folder, n_persons=10_000, n_items=300)


def dense(folder, n_persons=1_000_000, n_items=50):
    """A dense matrix in memory: calibrate."""
    made = simulate(irt.TwoPL(), n_persons=n_persons, n_items=n_items, seed=1)
    found = irt.calibrate(made.responses, irt.TwoPL(), method=irt.MML(standard_errors=None))
    return {"converged": found.converged, "items": len(found.items)}


def dense_small(folder):
    return dense(folder, n_persons=100_000)


def main(name, folder, limit):
    if limit:
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        most = taken + limit * MIB
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    began = time.perf_counter()
    found = globals()[name](Path(folder))
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        json.dumps(
            {"seconds": seconds, "peak": peak, **(found if isinstance(found, dict) else {})}
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
