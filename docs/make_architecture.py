"""Write the generated part of docs/architecture.md: layers and modules, from pyproject.toml and docstrings.

`make architecture` runs it; `tests/test_architecture.py` fails where the page is not what it makes.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "overmem"
PAGE = ROOT / "docs" / "architecture.md"
BEGIN = "<!-- Made by `make architecture` from pyproject.toml and the docstrings; do not edit by hand. -->"
END = "<!-- The end of what `make architecture` makes. -->"


def read_layers() -> list[list[str]]:
    """The layers of the import contract, from the top; each is one or more packages or modules."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    [contract] = [c for c in settings["tool"]["importlinter"]["contracts"] if c["name"] == "layers"]
    return [[name.strip() for name in layer.split("|")] for layer in contract["layers"]]


def first_line(path: Path) -> str:
    """The first line of a module's docstring.

    Raises:
        ValueError: the module has none.
    """
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    if not docstring:
        raise ValueError(f"{path.relative_to(ROOT)} has no docstring")
    return docstring.splitlines()[0]


def package_folders(root: Path = SOURCE) -> list[Path]:
    """Every folder with Python modules in it, `root` first, then by name."""
    return [root, *sorted({path.parent for path in root.rglob("*.py")} - {root})]


def modules_in(folder: Path) -> list[Path]:
    """The modules of a folder but for `__init__.py`, by name."""
    return sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")


def make_part() -> str:
    """The generated part: a table of the layers, and a table of the modules of each package."""
    return "\n".join([BEGIN, "", "## The layers", "", *_layers(), "", "## The modules", "", *_modules(), END])


def _layers() -> Iterator[str]:
    yield "| | package | what it is |"
    yield "| --- | --- | --- |"
    for number, names in enumerate(read_layers(), start=1):
        for name in names:
            yield f"| {number if name == names[0] else ''} | `{name}` | {_cell(_line_of(name))} |"


def _line_of(name: str) -> str:
    folder = SOURCE / name
    return first_line(folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py"))


def _modules() -> Iterator[str]:
    order = {name: place for place, names in enumerate(read_layers()) for name in names}
    folders = sorted(package_folders()[1:], key=lambda folder: _place(folder, order))
    yield from _table("overmem", SOURCE)
    for folder in folders:
        yield from _table(folder.relative_to(SOURCE).as_posix(), folder)


def _place(folder: Path, order: dict[str, int]) -> tuple[int, str]:
    path = folder.relative_to(SOURCE)
    return order[path.parts[0]], path.as_posix()


def _table(title: str, folder: Path) -> Iterator[str]:
    yield from (f"### {title}", "", _cell(first_line(folder / "__init__.py")), "")
    if modules := modules_in(folder):
        yield "| module | what it does |"
        yield "| --- | --- |"
        yield from (f"| `{path.stem}` | {_cell(first_line(path))} |" for path in modules)
        yield ""


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def fill_page(page: str) -> str:
    """The page with its generated part made anew.

    Raises:
        ValueError: the page does not hold the two markers, in their order.
    """
    before, found, rest = page.partition(BEGIN)
    _, closed, after = rest.partition(END)
    if not found or not closed:
        raise ValueError(f"{PAGE.relative_to(ROOT)} needs the lines {BEGIN!r} and {END!r}")
    return before + make_part() + after


if __name__ == "__main__":
    PAGE.write_text(fill_page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
