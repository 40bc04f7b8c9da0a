"""The documentation does not lie: links lead somewhere, and commands have the options they are shown with."""

import re
import shlex
import shutil
import subprocess
import sys

import pytest
import typer.main

import overmem
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


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The site with one broken link in it, built with the options of the Makefile; how it went."""
    pytest.importorskip("material")
    folder = tmp_path_factory.mktemp("docs")
    options = shlex.split(re.findall(r"/mkdocs (build.*)", (ROOT / "Makefile").read_text())[0])
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "mkdocs.yml", folder)
    with (folder / "docs" / "repair.md").open("a") as page:
        page.write("\nSee [settings](monitor.md#settinks).\n")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", *options], cwd=folder, capture_output=True, text=True
    )
    return folder / "site", done


def test_a_link_that_leads_nowhere_fails_make_docs(built):
    _, done = built
    warnings = [line for line in done.stderr.splitlines() if line.startswith("WARNING")]
    assert done.returncode == 1 and len(warnings) == 1 and "'#settinks'" in warnings[0], done.stderr


def test_the_site_asks_no_other_host(built):
    """Scripts, styles, fonts and pictures lie in the folder; only links to follow lead elsewhere."""
    site, _ = built
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        fetched = re.findall(r'<(?:script|img|iframe|source)[^>]*\ssrc="(https?:)?//[^"]*', text)
        fetched += re.findall(r'<link[^>]*rel="(?:stylesheet|icon|preconnect)"[^>]*href="https?:[^"]*', text)
        assert not fetched, (page.name, fetched)
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?https?:|@import ['\"]?https?:", style.read_text(encoding="utf-8"))


def test_search_works_from_a_folder(built):
    """The index is a script, and our frame in place of a worker is loaded before the theme's own script."""
    site, _ = built
    index = (site / "search" / "search_index.js").read_text(encoding="utf-8")
    assert index.startswith("var __index = ") and "over-memorized" in index
    start = (site / "index.html").read_text(encoding="utf-8")
    assert start.index("js/iframe-worker.js") < start.index("assets/javascripts/bundle")
    assert (site / "js" / "iframe-worker.js").is_file()


def test_generated_parts_are_on_the_site(built):
    """Options from the command line, functions from the docstrings, the notebook with its output."""
    site, _ = built
    assert "--fail-on" in (site / "commands.html").read_text(encoding="utf-8")
    api = (site / "api.html").read_text(encoding="utf-8")
    assert 'id="overmem.verdict.judge.judge"' in api
    assert not re.findall(r"<!-- (?:command|notebook)", "".join(p.read_text() for p in site.rglob("*.html")))


def test_every_public_name_is_on_the_api_page():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"^::: \S+\.(\w+)$", page, flags=re.M))
    assert set(overmem.__all__) - {"__version__"} <= shown
