"""Any order of claiming, writing, crashing and resuming leaves what the rules allow.

Two machines: one output with its lock and its backup, and the folder of a training run.
"""

import json
import shutil
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import stateful

import irtkit.atomic
from irtkit.errors import FileError, ScaleError
from irtkit.io import read_scale, write_scale
from irtkit.io.documents import backup_of
from irtkit.io.locks import claimed, lock_of
from tests.faults import writers
from tests.faults.injection import CODES, Injector, system_fault
from tests.faults.profiles import examples

DEAD = 2**22 + 5  # beyond the largest process id


class OutputMachine(stateful.RuleBasedStateMachine):
    """A scale that is written, damaged, half-written and claimed."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "s.json"
        self.current = self.before = None  # versions that should be there, intact
        self.damaged = False
        self.claim = None

    def _written(self, version):
        if self.current not in (None, version) and not self.damaged:
            self.before = self.current
        self.current, self.damaged = version, False

    @stateful.rule(version=st.integers(0, 1))
    def write(self, version):
        write_scale(writers.scale(version), self.path)
        self._written(version)

    @stateful.rule(
        version=st.integers(0, 1), number=st.integers(1, 25), code=st.sampled_from(sorted(CODES))
    )
    def write_with_a_fault(self, version, number, code):
        with pytest.MonkeyPatch.context() as patch:
            Injector(patch, number=number, fault=system_fault(CODES[code]))
            try:
                write_scale(writers.scale(version), self.path)
            except FileError:
                old = self.current
                backup = self._version(backup_of(self.path))
                if backup == old and not self.damaged:
                    self.before = backup  # the copy was made, the scale perhaps not replaced
                if self._version(self.path) == version:
                    self.current, self.damaged = version, False
            else:
                self._written(version)

    @stateful.rule(cut=st.integers(2, 50))  # more than the last line end
    @stateful.precondition(lambda self: self.current is not None)
    def damage(self, cut):
        self.path.write_bytes(self.path.read_bytes()[:-cut])
        self.damaged = True

    @stateful.rule()
    def leave_a_temporary(self):
        name = f".s.json.{irtkit.atomic.HOST}-{DEAD}-00000000.new"
        (self.folder / name).write_bytes(b"half")

    @stateful.rule()
    @stateful.precondition(lambda self: self.claim is None)
    def take(self):
        self.claim = claimed(self.path)
        self.claim.__enter__()

    @stateful.rule()
    @stateful.precondition(lambda self: self.claim is not None)
    def take_again(self):
        with pytest.raises(FileError, match="being written by"):
            claimed(self.path).__enter__()

    @stateful.rule()
    @stateful.precondition(lambda self: self.claim is not None)
    def give_back(self):
        self.claim.__exit__(None, None, None)
        self.claim = None

    @stateful.rule()
    @stateful.precondition(lambda self: self.claim is None)
    def leave_a_lock(self):
        holder = {"process": DEAD, "host": "", "since": "x"}
        lock_of(self.path).write_text(
            json.dumps({**holder, "host": irtkit.io.locks.platform.node()})
        )

    def _version(self, path):
        try:
            return int(read_scale(path).name[1:])
        except (ScaleError, FileError):
            return None

    @stateful.invariant()
    def what_is_read_is_what_was_written(self):
        if self.current is None:
            assert not self.path.exists()
        elif self.damaged:
            with pytest.raises(ScaleError) as refusal:
                read_scale(self.path)
            named = str(backup_of(self.path)) in str(refusal.value)
            assert named == (self.before is not None)
        else:
            assert self._version(self.path) == self.current
        if self.before is not None:
            assert self._version(backup_of(self.path)) == self.before

    def teardown(self):
        if self.claim is not None:
            self.claim.__exit__(None, None, None)
            assert not lock_of(self.path).exists()
        shutil.rmtree(self.folder)


class RunMachine(stateful.RuleBasedStateMachine):
    """The folder of a training run, in which checkpoints are sealed, torn and removed."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.whole = {}  # step: files, of the checkpoints that count
        self.next = 0

    @stateful.rule()
    def save(self):
        writers.training_checkpoint(self.folder, self.next)
        self.whole[self.next + 1] = True
        self.next += 1

    @stateful.rule(number=st.integers(1, 40), code=st.sampled_from(sorted(CODES)))
    def save_with_a_fault(self, number, code):
        with pytest.MonkeyPatch.context() as patch:
            Injector(patch, number=number, fault=system_fault(CODES[code]))
            try:
                writers.training_checkpoint(self.folder, self.next)
            except FileError:
                record = self._place(self.next + 1) / "record.json"
                self.whole[self.next + 1] = record.exists()  # the last thing that is written
            else:
                self.whole[self.next + 1] = True
        self.next += 1

    @stateful.rule(data=st.data(), what=st.sampled_from(["cut", "remove", "record"]))
    @stateful.precondition(lambda self: any(self.whole.values()))
    def tear(self, data, what):
        steps = [step for step, whole in self.whole.items() if whole]
        step = data.draw(st.sampled_from(sorted(steps)))
        weights = self._place(step) / "weights.safetensors"
        record = self._place(step) / "record.json"
        if what == "cut":
            weights.write_bytes(weights.read_bytes()[:-1])
        elif what == "remove":
            weights.unlink()
        else:
            record.write_text(record.read_text().replace("weights", "weight"))
        self.whole[step] = False

    def _place(self, step):
        return self.folder / "run" / f"checkpoint-{step}"

    @stateful.invariant()
    def the_newest_whole_one_is_found(self):
        found = writers.newest(self.folder / "run")
        expected = max((step for step, whole in self.whole.items() if whole), default=None)
        assert (None if found is None else found[1]["step"]) == expected

    def teardown(self):
        shutil.rmtree(self.folder)


TestOutput = OutputMachine.TestCase
TestOutput.settings = examples(25, stateful_step_count=15)
TestRun = RunMachine.TestCase
TestRun.settings = examples(25, stateful_step_count=15)
