"""From the folders of a sweep's finished cells to its configurations; imports no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from overmem.errors import OvermemError
from overmem.sweeping.cells import Cell, varied_keys
from overmem.sweeping.config import Sweep
from overmem.sweeping.summary import Measured
from overmem.verdict.diagnose import open_audit
from overmem.verdict.seeds import read_seeds


def read_groups(
    sweep: Sweep, cells: Sequence[Cell], done: Sequence[Cell]
) -> tuple[list[Measured], dict[str, str]]:
    """Read and judge every configuration of which a cell is done.

    Args:
        sweep: with the rule.
        cells: all of them; which keys vary does not depend on what is done.
        done: those with a verdict.

    Returns:
        The configurations in the order of the grid, and those left out with the reason.
    """
    keys, found, left_out = varied_keys(cells), [], {}
    for name, members in _by_group(done).items():
        audits = [open_audit(cell.folder) for cell in members]
        first = members[0]
        try:
            seeds = read_seeds(audits)
            verdict = seeds.judge(sweep.rule.to_rule())
        except OvermemError as error:
            left_out[name] = str(error)
            continue
        found.append(
            Measured(
                name=name,
                settings={key: first.value(key) for key in keys},
                model=first.recipe.model.name,
                scheduler=str(first.recipe.training.get("lr_scheduler_type", "linear")),
                val=audits[0][1].val.fingerprint,
                cells=tuple(cell.name for cell in members),
                seeds=seeds,
                verdict=verdict,
            )
        )
    return found, left_out


def absent_groups(cells: Sequence[Cell], measured: Sequence[Measured]) -> dict[str, dict[str, Any]]:
    """Settings of the configurations that have no result, by name."""
    keys, there = varied_keys(cells), {item.name for item in measured}
    return {cell.group: {key: cell.value(key) for key in keys} for cell in cells if cell.group not in there}


def families_of(measured: Sequence[Measured]) -> list[list[Measured]]:
    """Configurations whose perplexities can be compared, together: one model, one val in the same tokens."""
    found: dict[tuple[str, str], list[Measured]] = {}
    for item in measured:
        found.setdefault((item.model, item.val), []).append(item)
    return list(found.values())


def _by_group(cells: Sequence[Cell]) -> Mapping[str, list[Cell]]:
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.group, []).append(cell)
    return groups
