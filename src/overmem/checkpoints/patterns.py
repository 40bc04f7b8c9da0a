"""`--checkpoints-glob`: the folders that a pattern matches, with the step that is in their names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from overmem.checkpoints.folders import Layout, StepFolder, children_of, weights_in
from overmem.checkpoints.names import Unit, numbers_in, read_number
from overmem.errors import RunError


def matching_folders(root: Path, pattern: str) -> Layout:
    """The folders that a pattern matches.

    Args:
        root: folder of a run, or one above it.
        pattern: as of a shell, relative to `root`.

    Raises:
        RunError: it leads out of `root`, matches nothing, or folders without a number.
    """
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts or not pattern.strip():
        raise RunError(
            "--checkpoints-glob is a pattern relative to RUN",
            got=pattern,
            expected="such as 'step_*' or '*/actor/step-*'",
        )
    matches = [path.relative_to(root) for path in sorted(root.glob(pattern)) if path.is_dir()]
    if not matches:
        there = ", ".join(child.name for child in children_of(root)[:8])
        raise RunError(
            "--checkpoints-glob matches no folder",
            got=f"{pattern} in {root}",
            expected=f"a pattern for some of {there or 'no folder'}",
        )
    numbers, part = _steps_in_names(matches, pattern)
    names = [match.parts[part] for match in matches]
    if len(set(names)) < len(names):
        names = ["-".join(match.parts) for match in matches]
    left_out: dict[str, str] = {}
    folders = []
    for name, match, number in zip(names, matches, numbers, strict=True):
        weights = weights_in(root / match, left_out)
        if weights is not None:
            found = read_number(match.parts[part])
            unit: Unit = found.unit if found is not None and found.number == number else "step"
            folders.append(StepFolder(name=name, folder=root / match, path=weights, number=number, unit=unit))
    folders.sort(key=lambda found: (found.number, found.name))
    return Layout(home=root, folders=tuple(folders), left_out=left_out)


def _steps_in_names(matches: Sequence[Path], pattern: str) -> tuple[list[int], int]:
    """The number of each match, and in which part of its path: the deepest that tells all of them apart.

    Raises:
        RunError: there is none.
    """
    depth = min(len(match.parts) for match in matches)
    first: tuple[list[int], int] | None = None
    for part in range(-1, -depth - 1, -1):
        found = [numbers_in(match.parts[part]) for match in matches]
        if not all(found):
            continue
        for column in range(min(map(len, found))):
            numbers = [row[column] for row in found]
            if len(set(numbers)) == len(numbers):
                return numbers, part
            first = first or (numbers, part)
    if first is None:
        raise RunError(
            "--checkpoints-glob matches folders without a number, and the step is read from it",
            got=f"{pattern}: {', '.join(map(str, matches[:8]))}",
            expected="a number in the name of each, such as step_300",
        )
    return first
