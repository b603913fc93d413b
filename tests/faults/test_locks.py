"""Two runs that would write one output: the second is refused at once, and no lock stays."""

import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

import irtkit.io.locks
from irtkit.cli import run
from irtkit.cli.outputs import hold
from irtkit.errors import FileError
from irtkit.io.locks import claimed, lock_of, turn

ROOT = Path(__file__).parents[2]
DEAD = 2**22 + 5  # beyond the largest process id
HOLDER = """
import sys, time
from irtkit.io.locks import claimed
with claimed(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""
RACER = """
import sys, time
from irtkit.errors import FileError
from irtkit.io.locks import claimed
path, record = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
for _ in range(300):
    try:
        with claimed(path):
            with open(record, "a+") as file:
                file.seek(0)
                before = file.read()
                file.write("(")
            with open(record, "a+") as file:
                file.write(")")
    except FileError as error:
        assert "is being written by" in str(error), error
"""


def started(program, *words, **how):
    command = [sys.executable, "-c", program, *map(str, words)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, **how)
    assert child.stdout.readline().strip() in ("held", "ready")
    return child


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the right to write `out.json`."""
    child = started(HOLDER, tmp_path / "out.json")
    yield child
    child.kill()
    child.wait()
    child.stdout.close()


def hidden(folder):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


SIMULATE = ("simulate", "--persons", "40", "--items", "4", "--seed", "1", "-o")


def test_a_second_run_is_refused_at_once_with_process_and_host(holder, tmp_path):
    began = time.monotonic()
    with pytest.raises(FileError, match=rf"process {holder.pid} on '{platform.node()}' since"):
        claimed(tmp_path / "out.json").__enter__()
    assert time.monotonic() - began < 30  # it does not wait
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "out.json")
    with pytest.raises(FileError, match="being written by process"):
        claimed(link).__enter__()
    assert hidden(tmp_path) == [".out.json.lock"]


def test_the_lock_of_a_killed_process_is_taken_over(holder, tmp_path):
    holder.kill()
    holder.wait()
    assert hidden(tmp_path) == [".out.json.lock"]
    with claimed(tmp_path / "out.json"):
        said = json.loads(lock_of(tmp_path / "out.json").read_text())
        assert said["process"] == os.getpid()
    assert hidden(tmp_path) == []


@pytest.mark.parametrize(
    "content", ["", "{", "[1]", '{"process": 1}', '{"host": null}', "\0" * 99]
)
def test_a_damaged_lock_that_nobody_holds_is_taken_over(content, tmp_path):
    lock_of(tmp_path / "a").write_text(content)
    with claimed(tmp_path / "a"):
        pass
    assert hidden(tmp_path) == []


def test_a_lock_of_another_machine_is_respected_and_the_way_out_told(tmp_path):
    holder = {"process": 7, "host": "elsewhere", "since": "yesterday"}
    lock_of(tmp_path / "a").write_text(json.dumps(holder))
    with pytest.raises(FileError, match=r"process 7 on 'elsewhere'.*remove .*\.a\.lock"):
        claimed(tmp_path / "a").__enter__()
    assert json.loads(lock_of(tmp_path / "a").read_text()) == holder


@pytest.mark.parametrize(("process", "refused"), [(os.getppid(), True), (DEAD, False)])
def test_where_the_system_has_no_locks_the_named_process_counts(
    process, refused, tmp_path, monkeypatch
):
    monkeypatch.setattr("irtkit.io.locks.fcntl", None)
    holder = {"process": process, "host": platform.node(), "since": "now"}
    lock_of(tmp_path / "a").write_text(json.dumps(holder))
    if refused:
        with pytest.raises(FileError, match=f"process {process}"):
            claimed(tmp_path / "a").__enter__()
        return
    with claimed(tmp_path / "a"):
        pass
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_no_lock_stays_after_an_error_or_an_interruption(error, tmp_path):
    claim = claimed(tmp_path / "a")
    claim.__enter__()
    assert hidden(tmp_path) == [".a.lock"]
    assert not claim.__exit__(error, error(), None)
    assert hidden(tmp_path) == []


def test_one_process_cannot_write_one_output_twice_at_once(tmp_path):
    with claimed(tmp_path / "a"):
        with pytest.raises(FileError, match=f"process {os.getpid()}"):
            claimed(tmp_path / "a").__enter__()
        assert hidden(tmp_path) == [".a.lock"]
        with claimed(tmp_path / "b"):
            pass


def test_of_many_racers_one_holds_the_lock_at_a_time(tmp_path):
    racers = [
        started(RACER, tmp_path / "a", tmp_path / "record", stdin=subprocess.PIPE)
        for _ in range(3)
    ]
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.close()
    assert [racer.wait(timeout=120) for racer in racers] == [0, 0, 0]
    for racer in racers:
        racer.stdout.close()
    record = (tmp_path / "record").read_text()
    assert record == "()" * (len(record) // 2)
    assert len(record) > 6  # they took turns
    assert hidden(tmp_path) == []


def test_a_turn_is_had_by_one_and_waited_for_by_others(tmp_path):
    with turn(tmp_path / "t", wait=False) as first, turn(tmp_path / "t", wait=False) as second:
        assert (first, second) == (True, False)
    with turn(tmp_path, wait=True) as again:
        assert again


def test_a_command_holds_its_output_while_it_runs(tmp_path):
    seen = []

    @click.command()
    def command():
        hold(tmp_path / "out")
        seen.append(hidden(tmp_path))
        raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, click.Abort)):
        command.main([], standalone_mode=False)
    assert seen == [[".out.lock"]]
    assert hidden(tmp_path) == []


COMMANDS = {
    "calibrate": ["calibrate", "answers.csv", "-o", "out.json"],
    "calibrate, its checkpoint": [
        *("calibrate", "answers.csv", "--checkpoint", "out.json", "-o", "other.json"),
    ],
    "screen": ["screen", "answers.csv", "-o", "out.json"],
    "screen, several": ["screen", "answers.csv", "more.csv", "-o", "out.json"],
    "screen, its checks": ["screen", "answers.csv", "-o", "s.json", "--checks", "out.json"],
    "diagnose": ["diagnose", "answers.csv", "calibration.json", "-o", "out.json"],
    "finetune": ["finetune", "set.jsonl", "--model", "nse", "-o", "out.json"],
    "demo": ["demo", "-o", "out.json"],
    "export": ["export", "scale.json", "--texts", "texts.csv", "-o", "out.json"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_writes_is_refused_before_it_reads(
    name, holder, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    code = run(COMMANDS[name])
    said = capsys.readouterr().err
    assert code == 4
    assert f"out.json is being written by process {holder.pid}" in said
    assert hidden(tmp_path) == [".out.json.lock"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "terminated"])
def test_an_interrupted_command_leaves_neither_lock_nor_output(number, tmp_path):
    answers = tmp_path / "a.csv"
    assert (
        run(["simulate", "--persons", "3000", "--items", "40", "--seed", "1", "-o", str(answers)])
        == 0
    )
    words = [sys.executable, "-m", "irtkit", "calibrate", str(answers), "--tolerance", "1e-14"]
    words += ["--max-cycles", "100000", "-o", str(tmp_path / "c.json")]
    with subprocess.Popen(words, stderr=subprocess.PIPE, cwd=ROOT) as child:
        lock = lock_of(tmp_path / "c.json")
        for _ in range(3000):
            if lock.exists():
                break
            time.sleep(0.02)
        assert lock.exists()
        child.send_signal(number)
        assert child.wait(timeout=60) == 128 + number
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv"]


def test_an_output_that_appeared_meanwhile_is_not_replaced(tmp_path, monkeypatch, capsys):
    """The other run may end between the check and the claim."""
    target = tmp_path / "out.csv"
    plain = claimed

    def late(path):
        target.write_text("theirs")
        return plain(path)

    monkeypatch.setattr("irtkit.cli.outputs.claimed", late)
    assert run([*SIMULATE, str(target)]) == 4
    assert "exists" in capsys.readouterr().err
    assert target.read_text() == "theirs"
    assert hidden(tmp_path) == []


def test_a_lock_that_its_holder_removes_meanwhile_is_made_anew(tmp_path, monkeypatch):
    """Between opening the lock and locking it, its holder may end: a lock without a name."""
    plain, calls = irtkit.io.locks._locked, []

    def late(handle, *, wait):
        calls.append(handle)
        if len(calls) == 1:
            lock_of(tmp_path / "a").unlink()
        return plain(handle, wait=wait)

    monkeypatch.setattr(irtkit.io.locks, "_locked", late)
    with claimed(tmp_path / "a"):
        assert len(calls) == 2
        assert hidden(tmp_path) == [".a.lock"]
