"""Functions of the user's own: a file that is named, or a module where Python looks, and nowhere else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from overmem.errors import GradeError
from overmem.grading.grade import grade
from overmem.own_functions import find_own_function
from tests.helpers.processes import ALONE

PLANTED = """
from pathlib import Path
Path(__file__).with_name("ran").touch()
def yes(text, example): return True
"""


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module in the current folder, which leaves a mark when it is run."""
    (tmp_path / "planted_grader.py").write_text(PLANTED)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_module_in_the_current_folder_is_not_run_and_the_way_out_is_named(planted, monkeypatch):
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    with pytest.raises(GradeError, match=r"not searched: .* python:planted_grader\.py:yes"):
        find_own_function("python:planted_grader:yes", "grader", GradeError)
    assert not (planted / "ran").exists()


@pytest.mark.parametrize("place", ["planted_grader.py", "./planted_grader.py", "{folder}/planted_grader.py"])
def test_a_file_is_run_where_it_is_named(planted, place):
    assert grade("anything", "42", f"python:{place.format(folder=planted)}:yes").correct
    assert (planted / "ran").exists()


def test_a_module_on_the_path_is_run(planted, monkeypatch):
    monkeypatch.syspath_prepend(planted)
    monkeypatch.delitem(sys.modules, "planted_grader", raising=False)
    assert find_own_function("python:planted_grader:yes", "grader", GradeError)("", None)
    monkeypatch.delitem(sys.modules, "planted_grader")


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("python:planted_grader.py", "malformed"),
        ("python::yes", "malformed"),
        ("python:no_such.py:yes", "no file"),
        ("python:planted_grader.py:no", "has no function `no`"),
        ("python:broken.py:yes", "ZeroDivisionError"),
    ],
)
def test_what_is_no_function_is_named(planted, name, part):
    (planted / "broken.py").write_text("1 / 0\n")
    for _ in range(2):  # what failed once is not taken for loaded
        with pytest.raises(GradeError, match=part):
            find_own_function(name, "grader", GradeError)


@pytest.mark.parametrize(
    "how", [["-m", "overmem"], ["-Omovermem"], ["-c", "from overmem.cli import main; main()"]]
)
def test_the_command_line_imports_nothing_of_the_current_folder(planted, how):
    for name in ("typer", "yaml", "polars", "json", "typing", "dataclasses", "planted_grader"):
        (planted / f"{name}.py").write_text(PLANTED)
    given = ["data", "check", "--val", "none.jsonl"]
    # As the console script: its own folder comes first on the path, not the current one.
    safe = {"PYTHONSAFEPATH": "1"} if how[0] == "-c" else {}
    done = subprocess.run(
        [sys.executable, *how, *given], env={**os.environ, **ALONE, **safe}, capture_output=True, text=True
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert not (planted / "ran").exists()


LEAVING = """
import sys
class Mute(Exception):
    def __str__(self): raise Mute
def leave(text, example): sys.exit(3)
def mute(text, example): raise Mute
"""


def test_a_function_that_ends_the_process_or_has_no_words_fails_like_any_other(planted):
    (planted / "own.py").write_text(LEAVING)
    for function, said in (("leave", "SystemExit: 3"), ("mute", "Mute")):
        with pytest.raises(GradeError, match=rf"failed on row[\s\S]*got: +{said}\n"):
            grade("anything", "42", f"python:own.py:{function}")
    (planted / "script.py").write_text("import sys\nsys.exit(3)\n")
    with pytest.raises(GradeError, match=r"cannot import[\s\S]*SystemExit: 3"):
        find_own_function("python:script.py:judge", "grader", GradeError)
