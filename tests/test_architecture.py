"""The layout is what docs/architecture.md says: packages that say what they are, small folders, no circle."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "overmem"
MOST_MODULES = 16
"""In one folder, `__init__.py` among them."""


def load_script():
    spec = importlib.util.spec_from_file_location("make_architecture", ROOT / "docs" / "make_architecture.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


SCRIPT = load_script()
FOLDERS = SCRIPT.package_folders()


def name_of(path, root):
    parts = path.relative_to(root.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path, modules):
    """The modules that a module imports anywhere in its text: in functions and under TYPE_CHECKING too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            deeper = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            found |= {full if full in modules else node.module for full in deeper.values()}
    return found & modules


def import_graph(root):
    paths = {name_of(path, root): path for path in root.rglob("*.py")}
    return {name: imports_of(path, set(paths)) for name, path in paths.items()}


def circle_in(graph):
    """The modules of one circle, in the order in which they import each other; empty when there is none."""
    done = set()

    def follow(name, path):
        if name in path:
            return path[path.index(name) :]
        if name in done:
            return []
        for other in sorted(graph[name]):
            if found := follow(other, [*path, name]):
                return found
        done.add(name)
        return []

    return next((found for name in sorted(graph) if (found := follow(name, []))), [])


def test_no_module_imports_itself_by_way_of_others():
    graph = import_graph(SOURCE)
    assert len(graph) > 200 and sum(map(len, graph.values())) > 500  # the graph was read
    assert circle_in(graph) == []


@pytest.mark.parametrize(
    "second",
    [
        "from overmem.first import A\n",
        "def later():\n    import overmem.first\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from overmem import first\n",
    ],
    ids=["plain", "in a function", "for types alone"],
)
def test_a_circle_is_found_however_it_is_imported(tmp_path, second):
    root = tmp_path / "overmem"
    root.mkdir()
    for name, text in {"__init__": "", "first": "from overmem.second import B\n", "second": second}.items():
        (root / f"{name}.py").write_text(text)
    assert circle_in(import_graph(root)) == ["overmem.first", "overmem.second"]


def test_the_page_is_what_the_script_makes():
    page = SCRIPT.PAGE.read_text(encoding="utf-8")
    assert SCRIPT.fill_page(page) == page, "run `make architecture`"


def test_the_page_lists_every_module():
    page = SCRIPT.PAGE.read_text(encoding="utf-8")
    listed = page[page.index("## The modules") :]
    for folder in FOLDERS:
        title = "overmem" if folder == SOURCE else folder.relative_to(SOURCE).as_posix()
        section = re.split(r"^### ", listed.partition(f"### {title}\n")[2], flags=re.M)[0]
        assert re.findall(r"^\| `(\w+)` \|", section, flags=re.M) == [
            path.stem for path in SCRIPT.modules_in(folder)
        ]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.relative_to(SOURCE.parent).as_posix())
def test_a_package_says_what_it_is_and_is_no_larger_than_a_person_can_look_over(folder):
    start = folder / "__init__.py"
    assert start.is_file() and ast.get_docstring(ast.parse(start.read_text(encoding="utf-8")))
    assert len(list(folder.glob("*.py"))) <= MOST_MODULES


def names_in(path):
    """Functions, classes, constants and methods (`Class.method`) of a module."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{item.name}" for item in node.body if isinstance(item, ast.FunctionDef)}
        if isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def test_the_functions_on_the_way_of_a_row_are_there():
    page = SCRIPT.PAGE.read_text(encoding="utf-8")
    walk = page.partition("## One row, from file to verdict")[2].partition("\n## ")[0]
    cells = [line.split("|")[3] for line in walk.splitlines() if re.match(r"\| \d+\.", line)]
    assert len(cells) > 20
    for places in re.findall(r"`([^`]+)`", " ".join(cells)):
        path, _, names = places.partition(": ")
        assert (SOURCE / path).exists(), places
        missing = {name for name in names.split(", ") if name} - (names_in(SOURCE / path) if names else set())
        assert not missing, places


def test_entries_of_the_log_that_are_mentioned_exist():
    texts = [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *SOURCE.rglob("*.py"),
        *SOURCE.rglob("*.yaml"),
    ]
    mentioned = {
        found
        for path in texts
        for found in re.findall(r"lab/\d{4}-\d\d\.md", path.read_text(encoding="utf-8"))
    }
    assert mentioned and all((ROOT / name).is_file() for name in mentioned)
