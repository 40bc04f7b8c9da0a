"""What other people wrote reaches the terminal as text: in every command, whatever a terminal would obey."""

import io
import json
import logging
import os
import re
import sys
from pathlib import Path

import pytest
from rich.panel import Panel
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from overmem.cli.progress import audit_progress, model_progress, training_progress
from overmem.cli.screen import Screen, VisibleStream, console, print_json, say, tell, visible_streams
from overmem.formatting import unseen
from overmem.records import Checkpoint, Run
from tests.helpers.command import run_command
from tests.helpers.synthetic import write_run

PLANTS = (
    "\x1b]0;title\x07",
    "\x1b]8;;http://evil\x1b\\",
    "\x1b[2J",
    "\x1b[31m",
    "\x1b[8m",
    "\x9b31m",
    "\x08\x08",
    "\rover",
    "\x7f",
    "\u202egnp",
    "\u2066",
    "\u2028",
    "\x85",
)
PLANT = "".join(PLANTS) + "[red]:skull:"
NAME = PLANT.translate({ord("/"): None, ord("\\"): None})
"""What a folder may be called."""
OWN = re.compile(r"\x1b\[(?:\d+(?:;\d+)*)?m|\x1b\[\?25[lh]|\x1b\[\d?[AKG]|\r(?=\x1b\[2K|\n)")
"""What rich writes by itself: styles, the cursor, a line that is drawn again."""


def screen(**settings):
    return Screen(file=io.StringIO(), highlight=False, markup=False, emoji=False, **settings)


def written(of):
    return of.file.getvalue()


def assert_nothing_foreign(text):
    # A style of the planted texts would pass as one of rich's own, but for these two.
    assert "\x1b[31m\x9b" not in text and "\x1b[8m" not in text
    left = OWN.sub("", text)
    assert not unseen(left), [left[max(0, a - 40) : b + 10] for a, b in unseen(left)][:3]


@pytest.mark.parametrize("terminal", [True, False])
def test_every_way_to_print_shows_what_would_be_obeyed(terminal):
    table = Table(PLANT, title=PLANT)
    table.add_row(PLANT, style="bold")
    for what in (PLANT, Text(PLANT, style="red"), Text.assemble(("a", "bold"), PLANT), table, Panel(PLANT)):
        shown = screen(width=80, force_terminal=terminal)
        shown.print(what)
        assert_nothing_foreign(written(shown))
        plain = "".join(OWN.sub("", written(shown)).split())
        assert "\\x1b]0;title" in plain and "\\u202e" in plain and "[red]:skull:" in plain


class Raw:
    """Something that puts out its own pieces."""

    def __rich_console__(self, console, options):
        yield Segment(PLANT)


def test_what_lays_itself_out_is_shown_too():
    shown = screen(force_terminal=True)
    shown.print(Raw())
    assert "\\x1b[2J" in written(shown)
    assert_nothing_foreign(written(shown))


def test_our_own_styles_stay_and_lines_keep_to_the_width():
    shown = screen(width=40, force_terminal=True, color_system="standard")
    shown.print(Text.assemble(("ok", "green"), " \x1b[31m", ("fine", "bold")))
    assert written(shown) == "\x1b[32mok\x1b[0m \\x1b[31m\x1b[1mfine\x1b[0m\n"
    table = Table("name", "figure")
    table.add_row(Text("\x1b" * 30), "0.5")
    narrow = screen(width=40)
    narrow.print(table)
    assert all(len(line) <= 40 for line in written(narrow).splitlines()) and "0.5" in written(narrow)


def test_a_line_is_printed_whole_and_without_markup():
    shown = screen(width=20)
    say(shown, "[bold]a[/bold] " + "long " * 10)
    assert written(shown) == "[bold]a[/bold] " + "long " * 10 + "\n"


def test_sentences_are_broken_between_words_on_a_terminal_alone():
    text = " memory: about 37 MB in float32 beside the libraries\nfailed: checkpoint-600"
    for terminal, expected in (
        (True, " memory: about 37 MB\n in float32 beside\n the libraries\nfailed:\ncheckpoint-600"),
        (False, text),
    ):
        shown = screen(width=20, force_terminal=terminal, color_system=None)
        tell(shown, text)
        assert written(shown) == f"{expected}\n"


def test_a_path_longer_than_the_terminal_stays_whole():
    shown = screen(width=20, force_terminal=True, color_system=None)
    tell(shown, "it is in /a/folder-of-more-than-twenty/letters now")
    assert "/a/folder-of-more-than-twenty/letters" in written(shown)


def test_the_streams_show_what_libraries_print(monkeypatch):
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with visible_streams():
        assert isinstance(sys.stdout, VisibleStream) and not sys.stdout.isatty()
        print(PLANT)
        sys.stderr.writelines([PLANT, "\tplain\n"])
        logging.StreamHandler().emit(logging.makeLogRecord({"msg": PLANT}))
        # What we lay out goes past the stream, with its styles.
        assert console().file is out and console(stderr=True).file is err
        print_json({"name": PLANT})
    assert sys.stdout is out and sys.stderr is err
    assert not unseen(out.getvalue() + err.getvalue()) and err.getvalue().count("\\x1b[2J") == 2
    assert "\tplain\n" in err.getvalue()
    said = out.getvalue()
    assert json.loads(said[said.index("{") :])["name"] == PLANT


def run_named(name):
    return Run(path=Path("run"), checkpoints=(Checkpoint(name=name, step=1, path=Path("c"), kind="full"),))


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_shows_names_and_what_is_printed_meanwhile(terminal, monkeypatch):
    shown = screen(width=200, force_terminal=terminal)
    monkeypatch.setattr(sys, "stdout", shown.file)
    monkeypatch.setattr(sys, "stderr", shown.file)
    for progress in (audit_progress(shown, run_named(PLANT)), model_progress(shown, "repair")):
        with visible_streams(), progress as told:
            told(f"[blue]name {PLANT}", PLANT, 1, 2)
            print("\x1b[2Jprinted")
            print("\x1b[31mprinted", file=sys.stderr)
    with visible_streams(), training_progress(shown) as view:
        view(1, 2, 0.5)
        print("\x1b[2Jprinted")
    assert_nothing_foreign(written(shown))
    assert written(shown).count("\\x1b[2Jprinted") == 3 and written(shown).count("\\x1b[31mprinted") == 2
    assert "[blue]name" in written(shown)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """An audited run in which every text that is not ours holds what a terminal would obey."""
    folder = tmp_path_factory.mktemp("planted") / f"run {NAME}"
    names = [f"checkpoint-{100 * c} {NAME}" for c in range(1, 5)]
    write_run(folder, names=names, checkpoints=4, text=lambda i: (f"{i} {PLANT}?\n", f" {PLANT} {i}\n"))
    path = folder / "overmem" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["versions"] = {"torch": PLANT, PLANT: "1"}
    manifest["python"] = manifest["device"] = PLANT
    manifest["config"] |= {"val": PLANT, "train": PLANT, "temperature": 0.8}
    manifest["skipped"] = {PLANT: PLANT}
    for split in manifest["splits"].values():
        split["source"] = PLANT
    path.write_text(json.dumps(manifest))
    return folder


def overmem(*arguments, cwd=None):
    """A command in a terminal, as far as it can tell."""
    environment = os.environ | {"FORCE_COLOR": "1", "COLUMNS": "80", "TERM": "xterm-256color"}
    done = run_command(*arguments, env=environment, cwd=cwd)
    return done.returncode, done.stdout, done.stderr


COMMANDS = {
    "diagnose": (0, lambda run: ["diagnose", run]),
    "diagnose --json": (0, lambda run: ["diagnose", run, "--json"]),
    "report": (0, lambda run: ["report", run, "--out", run / "page.html"]),
    "report --format md": (0, lambda run: ["report", run, "--format", "md", "--out", "-"]),
    "compare": (0, lambda run: ["compare", run, run]),
    "check": (1, lambda run: ["check", run]),
    "data memorized": (0, lambda run: ["data", "memorized", run, "--csv", run / "rows.csv"]),
    "audit": (2, lambda run: ["audit", run, "--val", run / "no.jsonl"]),
    "no such folder": (2, lambda run: ["diagnose", run / NAME]),
    "no such option": (2, lambda run: ["diagnose", run, f"--{PLANT}"]),
    "no such command": (2, lambda run: [PLANT]),
}


@pytest.mark.parametrize(("code", "arguments"), COMMANDS.values(), ids=COMMANDS)
def test_nothing_of_a_planted_run_reaches_the_terminal(planted, code, arguments):
    returned, out, err = overmem(*arguments(planted))
    assert returned == code and "Traceback" not in err, err
    assert_nothing_foreign(out)
    assert_nothing_foreign(err)


def test_a_planted_validation_set_reaches_the_terminal_as_text(tmp_path):
    rows = [{"id": f"{i}{PLANT}", "prompt": f"{i} {PLANT}?", "completion": f"{PLANT} {i}"} for i in range(4)]
    for name, content in (("val", rows), ("train", rows)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content))
    command = ["data", "check", "--val", tmp_path / "val.jsonl", "--train", tmp_path / "train.jsonl"]
    returned, out, err = overmem(*command, "--ood", f"{PLANT}={tmp_path / 'val.jsonl'}")
    assert returned == 1, err
    assert_nothing_foreign(out + err)
    assert "\\x1b" in out and "[red]" in "".join(OWN.sub("", out).split())
    bad = tmp_path / f"bad {NAME}.jsonl"
    bad.write_text(json.dumps({PLANT: PLANT * 1000}))
    returned, out, err = overmem("data", "check", "--val", bad)
    assert returned == 2 and len(err) < 3000
    assert_nothing_foreign(out + err)


@pytest.mark.parametrize(("rank", "times"), [(None, 1), ("0", 1), ("1", 0)])
def test_json_is_printed_once_where_a_launcher_started_several_processes(monkeypatch, capsys, rank, times):
    if rank is None:
        monkeypatch.delenv("RANK", raising=False)
    else:
        monkeypatch.setenv("RANK", rank)
    print_json({"a": 1})
    assert capsys.readouterr().out.count('"a": 1') == times
