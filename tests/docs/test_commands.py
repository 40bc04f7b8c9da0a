"""docs/commands.md has every command, and docs/hooks.py every option of it, as the command line has them."""

import importlib.util
import re

import pytest
import typer.main
from typer.core import TyperGroup

from overmem.cli.app import app
from tests.helpers.paths import ROOT

PAGE = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"^<!-- command: (.+) -->$", PAGE, re.MULTILINE)


def commands(group, before=""):
    """Each command by its full name."""
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if isinstance(command, TyperGroup):
            yield from commands(command, f"{before}{name} ")
        else:
            yield before + name, command


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.fixture(scope="module")
def hooks():
    pytest.importorskip("nbconvert")
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_has_every_command_once():
    assert sorted(SHOWN) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_a_row(hooks, name):
    rows = re.findall(r"^\| `(.+?)` \| (.+) \|$", hooks.command_part(name), re.MULTILINE)
    for option in COMMANDS[name].params:
        if option.name != "help" and not getattr(option, "hidden", False):
            argument = option.opts == [option.name]
            words = [option.metavar or option.name] if argument else option.opts
            assert any(all(word in names for word in words) for names, _ in rows), option.opts


def test_the_part_says_usage_default_and_meaning(hooks):
    part = hooks.command_part("check")
    assert "overmem check [OPTIONS]" in part
    assert (
        "| `--checkpoint TEXT` | Checkpoint to check: last, recommended, or a name. [default: last] |" in part
    )


def test_a_page_that_asks_for_no_command_fails(hooks):
    with pytest.raises(KeyError, match="overmem audits"):
        hooks.command_part("audits")
    with pytest.raises(KeyError, match="overmem data chek"):
        hooks.command_part("data chek")
