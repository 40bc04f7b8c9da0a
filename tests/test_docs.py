"""The documentation does not lie: links lead somewhere, and commands have the options they are shown with."""

import re
import shlex
import shutil
import subprocess
import sys

import pytest
import typer.main

from overmem.cli.app import app
from tests.helpers.paths import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
COMMANDS = typer.main.get_command(app)
LOGS = sorted((ROOT / "lab").glob("*.md"))
"""Their links are checked alone: an old entry shows commands as they were."""


def slug(heading):
    """The anchor that GitHub gives a heading."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


def links(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    return re.findall(r"\]\(([^)\s]+)\)", text)


def commands(page):
    blocks = re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("overmem ")]


@pytest.mark.parametrize("page", [*PAGES, *LOGS], ids=lambda page: str(page.relative_to(ROOT)))
def test_links_within_the_repository_lead_somewhere(page):
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        place, _, anchor = link.partition("#")
        target = page if not place else (page.parent / place)
        assert target.exists(), f"{page.name} links to {link}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), flags=re.M)
            assert anchor in map(slug, headings), f"{page.name} links to {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_have_the_options_they_are_shown_with(page):
    for line in commands(page):
        words = shlex.split(line)[1:]
        command = COMMANDS.get_command(None, words[0])
        assert command is not None, line
        if isinstance(command, typer.core.TyperGroup):
            command = command.commands[words[1]]
        known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
        used = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert used <= known, f"{line}: {used - known}"


def test_every_command_is_shown_somewhere():
    shown = {shlex.split(line)[1] for page in PAGES for line in commands(page)}
    assert set(COMMANDS.list_commands(None)) - {"demo"} <= shown


def test_a_link_that_leads_nowhere_fails_make_docs(tmp_path):
    """With the very options of the Makefile: `-q` would let it pass."""
    pytest.importorskip("mkdocs")
    options = shlex.split(re.findall(r"/mkdocs (build.*)", (ROOT / "Makefile").read_text())[0])
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    with (tmp_path / "docs" / "repair.md").open("a") as page:
        page.write("\nSee [settings](monitor.md#settinks).\n")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", *options], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1 and "'#settinks'" in done.stderr, done.stderr
