"""Section G: outputs, interruptions, misspelt words, odd terminals, hostile names on pages."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from irtkit.datasets import load_items
from irtkit.errors import IrtkitError, ModelError
from irtkit.io.locks import claimed, lock_of
from irtkit.models import TwoPL
from irtkit.screening import preset
from irtkit.simulate import simulate
from tests.bad_inputs.catalogue import absent, accepted, check_refusal, holds, refused
from tests.bad_inputs.scales_made import six
from tests.bad_inputs.small_tables import BASE, calibrating, calibrating_file, check_calibration

GONE = "does not exist. Check the name"


@refused(129, GONE, code=4, about="gone.csv")
def missing_answers(bench):
    return calibrating_file("gone.csv")


@refused(129, GONE, code=4, about="gone.csv")
def missing_key(bench):
    return calibrating(bench, BASE, "--key", "gone.csv")


@refused(129, GONE, code=4, about="gone.json")
def missing_scale(bench):
    return ["score", "gone.json", bench.write("model.csv", "item,correct\ni1,1\n")]


def writing(bench, output):
    """Give the words that would write there, and an input that is refused if it is read."""
    return ["calibrate", bench.write("never-read.csv", b"\xff"), "-o", output]


@refused(129, "folder of .* does not exist. Make it first", code=4, about="gone")
def output_in_a_missing_folder(bench):
    return writing(bench, "gone/c.json")


@refused(129, "File name too long", code=4, about="xxx")
def output_with_too_long_a_name(bench):
    return writing(bench, "x" * 300)


@refused(129, "folder|Not a directory", code=4, about="c.json")
def output_below_a_file(bench):
    bench.write("file", b"")
    return writing(bench, "file/c.json")


@refused(129, "is a folder, not a file", code=4, about="folder")
def output_that_is_a_folder(bench):
    (bench.folder / "folder").mkdir()
    return writing(bench, "folder")


@refused(129, "cannot be written", code=4, about="/proc/c.json")
def output_where_nothing_can_be_written(bench):
    if not Path("/proc/self").exists():
        pytest.skip("no such file system here")
    return writing(bench, "/proc/c.json")


@refused(129, "read-only", code=4, about="c.json")
def output_in_a_read_only_folder(bench):
    """A user who may write everywhere is told that this folder is not his."""
    plain = os.access
    bench.patch.setattr(os, "access", lambda p, mode, **more: mode != os.W_OK and plain(p, mode))
    return writing(bench, "c.json")


@holds(122, "refused, exit 4")
def full_disk(bench):
    """Every call that writes, syncs or renames fails in turn; the old file stays, whole."""
    path = bench.write("answers.csv", BASE)
    (bench.folder / "c.json").write_text("old")
    for name in ("fsync", "replace"):

        def full(*_, **__):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, name, full)
            ran = bench.run(*calibrating_file(path), "--overwrite")
        assert (ran.code, ran.out) == (4, ""), name
        check_refusal(ran.err, r"c\.json cannot be written: No space left on device")
        assert sorted(bench.tree()) == ["answers.csv", "c.json"]
        assert (bench.folder / "c.json").read_text() == "old"


@holds(123, "accepted")
def what_a_killed_run_left_is_ignored(bench):
    path = bench.write("answers.csv", BASE)
    assert bench.run(*calibrating_file(path)).code == 0
    (bench.folder / ".c.json.new.tmp").write_text("{half")
    assert bench.run("diagnose", path, "c.json", "-o", "fit").code == 0
    assert bench.run(*calibrating_file(path), "--overwrite").code == 0
    check_calibration(bench)


@refused(130, r"c\.json exists. Say --overwrite to replace it, or choose another name", code=4,
    about="c.json")  # fmt: skip
def output_that_exists(bench):
    (bench.folder / "c.json").write_text("old")
    return writing(bench, "c.json")


@holds(130, "accepted")
def output_that_exists_is_overwritten(bench):
    path = bench.write("answers.csv", BASE)
    (bench.folder / "c.json").write_text("old")
    assert bench.run(*calibrating_file(path), "--overwrite").code == 0
    check_calibration(bench)
    assert sorted(bench.tree()) == ["answers.csv", "c.json"]


@refused(130, "is also read, or written twice, by this command. Choose another name")
def output_that_is_an_input(bench):
    return ["calibrate", bench.write("answers.csv", BASE), "-o", "answers.csv", "--overwrite"]


@holds(131, "exit 130")
def interrupted_in_the_middle(bench):
    """The command is stopped after it has read, by Ctrl-C; the old output is what it was."""
    path = bench.write("answers.csv", BASE.replace(",1", ", 1", 1))  # makes a note after reading
    (bench.folder / "c.json").write_text("old")
    before = bench.tree()
    endless = ["--tolerance", "1e-300", "--max-cycles", 10**9, "--overwrite"]
    process = bench.start(*calibrating_file(path, *endless), cwd=bench.folder)
    assert process.stderr.readline().startswith("note: ")
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "interrupted; nothing half-written was left" in err
    assert "Traceback" not in err
    after = bench.tree()
    assert after == before, sorted(after.items() ^ before.items())


HOLD = """
import sys, time
from irtkit.io.locks import claimed
with claimed(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


@holds(132, "refused, exit 4")
def two_runs_of_one_path(bench):
    given = {"env": {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}}
    place = str(bench.folder / "c.json")
    other = subprocess.Popen([sys.executable, "-c", HOLD, place], stdout=subprocess.PIPE, **given)
    try:
        assert other.stdout.readline() == b"held\n"
        path = bench.write("answers.csv", BASE)
        ran = bench.run(*calibrating_file(path))
        assert (ran.code, ran.out) == (4, "")
        check_refusal(ran.err, rf"c\.json is being written by process {other.pid} on '.*Wait")
        assert not Path(place).exists()
    finally:
        other.kill()
        other.communicate()
    assert lock_of(place).exists()  # the killed run left its lock, which is taken over
    assert bench.run(*calibrating_file(path)).code == 0
    check_calibration(bench)
    assert not lock_of(place).exists()
    with claimed(place):
        assert lock_of(place).exists()


@holds(133, "accepted, exit 0")
def closed_standard_output(bench):
    path = bench.write("model.csv", "item,correct\n" + "".join(f"i{n},1\n" for n in range(1, 7)))
    bench.write("six.json", six())
    reader, pipe = os.pipe()
    os.close(reader)
    process = bench.start("score", bench.folder / "six.json", path, stdout=pipe)
    os.close(pipe)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert all(line.startswith("note: ") for line in err.splitlines())


MISSPELT = {
    "command": ("calibrat answers.csv", "Did you mean 'calibrate'"),
    "option": ("screen answers.csv --outptu x", "--output"),
    "model": ("calibrate answers.csv -o x --model grated", "'grated' is not one of.*'graded'"),
    "preset": ("screen answers.csv -o x --preset lalor2061", "'lalor2061'.*'lalor2016'"),
    "method": ("calibrate answers.csv -o x --method mmll", "'mmll' is not one of.*'mml'"),
    "column": ("calibrate answers.csv -o x --person ids", "no column 'ids'.*Did you mean 'id'"),
    "items": ("calibrate answers.csv -o x --items names.txt", "not among the answers: 'xx'"),
    "sub-command": ("plot curvs c.json", "No such command 'curvs'.*Did you mean.*'curves'"),
}


@holds(134, "refused, exit 2")
def misspelt_words(bench):
    bench.write("answers.csv", BASE)
    bench.write("names.txt", "xx\ny\n")
    before = bench.tree()
    for name, (line, message) in MISSPELT.items():
        ran = bench.run(*line.split())
        assert (ran.code, ran.out) == (2, ""), name
        assert re.search(message, ran.err, re.DOTALL), f"{name}: {ran.err}"
        assert "Traceback" not in ran.err
        assert bench.tree() == before


@holds(134, "refused in Python")
def misspelt_names_in_python(bench):
    with pytest.raises(IrtkitError, match=r"There is no data set 'lsat_6'.*Did you mean"):
        load_items("lsat_6")
    with pytest.raises(ModelError, match=r"lalor2061.*Did you mean 'lalor2016'"):
        preset("lalor2061")


SURROUNDINGS = {
    "C": {"LANG": "C", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "Turkish": {"LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8", "COLUMNS": "20"},
    "German": {"LC_ALL": "de_DE.UTF-8", "NO_COLOR": "1", "TERM": "dumb"},
}


@holds(135, "accepted")
def surroundings_change_nothing(bench):
    """The same bytes in files and the same numbers on the screen, whatever the locale."""
    text = BASE.replace("x,y", "caf\u00e9 I\u0131i,y", 1)
    path = bench.write("answers.csv", text)
    kept = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])}
    ran = bench.run("calibrate", path, "--model", "rasch", "-o", "c.json", "--json")
    made = json.loads(ran.out)
    assert made.pop("output") == "c.json"
    content = (bench.folder / "c.json").read_bytes()
    found = {(json.dumps(made, sort_keys=True), content)}
    for name, given in SURROUNDINGS.items():
        words = ["calibrate", path, "--model", "rasch", "-o", f"{name}.json", "--json"]
        process = bench.start(*words, cwd=bench.folder, env={**kept, **given})
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, ""), f"{name}: {err}"
        made = json.loads(out)
        assert made.pop("output") == f"{name}.json"
        content = (bench.folder / f"{name}.json").read_bytes()
        found.add((json.dumps(made, sort_keys=True), content))
    assert len(found) == 1


@accepted(135, writes=["c.json"])
def backslashes_in_a_name(bench):
    yield calibrating(bench, BASE, name="a\\b.csv")
    check_calibration(bench)


@refused(135, GONE, code=4, about="answers.csv")
def path_of_another_system(bench):
    return calibrating_file("C:\\x\\answers.csv")


HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</script><svg onload=alert(1)>",
    "javascript:alert(1)",
    "{{7*7}} ${7*7}",
    "expression(alert(1))",
)


class Seen(HTMLParser):
    """What a browser makes of a page: its tags, scripts and texts."""

    def __init__(self):
        super().__init__()
        self.tags, self.scripts, self.texts, self.inside = [], [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, attrs))
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        (self.scripts if self.inside == "script" else self.texts).append(data)


@holds(136, "accepted, shown as text")
def markup_on_a_leaderboard(bench):
    """The page of a browser is looked at in the tests of the report."""
    made = simulate(TwoPL(), n_persons=30, n_items=30, seed=6).responses
    names = [HOSTILE[n] if n < len(HOSTILE) else f"item {n}" for n in range(30)]
    frame = pd.DataFrame(made.dense(), columns=names)
    frame.insert(0, "model", [*HOSTILE, *(f"m{n}" for n in range(30 - len(HOSTILE)))])
    frame.to_csv(bench.folder / "models.csv", index=False)
    words = ["leaderboard", "models.csv", "--item-draws", 2, "--compared", 4, "--name", HOSTILE[0]]
    ran = bench.run(*words, "-o", "page.html")
    assert ran.code == 0, ran.err
    page = (bench.folder / "page.html").read_text("utf-8")
    assert "Content-Security-Policy" in page
    seen = Seen()
    seen.feed(page)
    assert len(seen.scripts) <= 1
    assert not any("alert" in script for script in seen.scripts)
    for tag, attributes in seen.tags:
        assert tag not in ("img", "iframe", "object", "embed", "base")
        for name, value in attributes:
            assert not name.startswith("on")
            assert name not in ("src", "href") or value.startswith(("#", "data:"))
    assert all(text in "".join(seen.texts) for text in HOSTILE)


for number in (137, 138, 139):
    absent(number, "there is no web app")
