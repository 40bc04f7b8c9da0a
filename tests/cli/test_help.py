"""Help of 80 columns in which nothing is cut off, and whose examples are true."""

import json
import os
import re
import shlex
import subprocess
import sys

import pytest
import typer.main
from typer.core import TyperGroup
from typer.testing import CliRunner

import overmem
from overmem.auditing.flags.declared import HEADINGS, audit_flags
from overmem.cli.app import COMMANDS, app
from overmem.cli.run import run

GROUP = typer.main.get_command(app)


def leaves():
    """Words of every command that does something, and the command."""
    for name in COMMANDS:
        command = GROUP.get_command(None, name)
        if isinstance(command, TyperGroup):
            yield from (((name, below), one) for below, one in command.commands.items())
        else:
            yield (name,), command


LEAVES = dict(leaves())


def help_of(*words):
    done = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "80"}, terminal_width=80)
    assert done.exit_code == 0, done.output
    return done.output


def is_cut(line):
    return line.endswith(("…", "..."))


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_help_fits_80_columns_and_ends_with_examples(words):
    text, _, examples = help_of(*words).partition("Examples:\n")
    assert all(len(line) <= 80 for line in text.splitlines())
    assert not re.search(r"<(str|int|float|path|list)", text)
    assert 1 <= len(examples.strip().splitlines()) <= 4


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_examples_are_commands_with_options_that_exist(words):
    for line in LEAVES[words].examples.strip().splitlines():
        program, *typed = shlex.split(line)
        assert program == "overmem" and tuple(typed[: len(words)]) == words, line
        known = {name for param in LEAVES[words].params for name in (*param.opts, *param.secondary_opts)}
        assert {word for word in typed if word.startswith("--")} <= known, line


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_one_name_for_one_thing(words):
    options = {name for param in LEAVES[words].params for name in param.opts}
    assert "--output" not in options
    assert "--json" in options or words == ("demo",)


def test_the_list_of_commands_is_not_cut_off():
    text = help_of()
    said = " ".join(text.split())
    assert all(about in said for _, about in COMMANDS.values())
    assert not any(map(is_cut, text.splitlines()[1:])) and "Examples:\n  overmem demo" in text


def test_options_of_an_audit_stand_in_groups_and_each_once():
    text = help_of("audit")
    places = [text.index(f"\n{heading}:\n") for heading in ("Options", *HEADINGS.values())]
    assert places == sorted(places)
    for flag in audit_flags():
        option = flag.option.partition("/")[0]
        (at,) = [found.start() for found in re.finditer(rf"^  {option}[ /]", text, flags=re.M)]
        assert text.rindex(f"\n{flag.heading}:\n", 0, at) == max(place for place in places if place < at)


def test_the_version_is_said():
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.output) == (0, f"overmem {overmem.__version__}\n")


COMPLETE = """
import sys
from overmem.cli import main
try:
    main()
finally:
    print(sorted({"torch", "transformers", "datasets", "polars"} & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("typed", "words"),
    [("overmem re", ["repair", "report"]), ("overmem train --se", ["--seed", "--set"])],
)
def test_a_shell_completes_commands_and_options_without_importing_what_is_heavy(typed, words):
    env = os.environ | {
        "_OVERMEM_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" ")),
    }  # fmt: skip
    program = COMPLETE.replace("import sys", "import sys; sys.argv = ['overmem']", 1)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=env)
    assert done.stdout.split() == words, done.stderr
    assert done.stderr.strip() == "[]"


def test_only_json_is_on_standard_output(pico_run):
    done = CliRunner().invoke(app, ["data", "check", "--val", "wordmath:val[:20]", "--json"])
    assert done.exit_code == 0 and json.loads(done.stdout)["refused"] is None


@pytest.mark.parametrize(
    ("words", "said", "near"),
    [
        ("diagnos x", "has no command 'diagnos'", "did you mean 'diagnose'?"),
        ("data chek", "data` has no command 'chek'", "did you mean 'check'?"),
        ("xyz", "has no command 'xyz'", None),
        ("audit x --vall y", "audit` has no option '--vall'", "did you mean '--val'?"),
        ("audit x --no-eoss", "audit` has no option '--no-eoss'", "did you mean '--no-eos'?"),
        ("data check --trian y", "data check` has no option '--trian'", "did you mean '--train'?"),
        ("--versoin", "has no option '--versoin'", "did you mean '--version'?"),
        ("diagnose x -z", "diagnose` has no option '-z'", None),
    ],
)
def test_a_mistyped_word_is_one_message_with_the_nearest(words, said, near, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["overmem", *words.split()])
    assert run() == 2
    out, error = capsys.readouterr()
    assert not out and error.count("overmem: ") == 1 and "Traceback" not in error
    assert said in error and "--help` lists them" in error
    assert near in error if near else "did you mean" not in error


def test_other_mistakes_in_a_command_line_stay_as_they_were(monkeypatch, capsys):
    for words in ("audit x --limit", "compare a", "report x --format"):
        monkeypatch.setattr(sys, "argv", ["overmem", *words.split()])
        assert run() == 2
        assert "Error: " in capsys.readouterr().err
