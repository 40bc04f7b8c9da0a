"""`overmem sweep`: many fine-tunes of one recipe, and what to train with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from overmem.cli.options import Json, Ray, Workers
from overmem.cli.screen import console, print_json, say

if TYPE_CHECKING:
    from overmem.sweeping.config import Sweep
    from overmem.sweeping.record import CellState


def sweep(
    config: Annotated[
        str,
        typer.Argument(
            metavar="SWEEP", help="Path of a YAML file, or a bundled sweep such as sweep-organism."
        ),
    ],
    out: Annotated[
        str | None, typer.Option(help="Folder of the sweep, in place of the one in the file.")
    ] = None,
    confirm: Annotated[
        str | None, typer.Option(help="Held-out problems, on which the recommended point is measured again.")
    ] = None,
    workers: Workers = None,
    ray: Ray = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only show the cells and about how long they take.")
    ] = False,
    json_: Json = False,
) -> None:
    """Train, audit and diagnose each cell of a sweep; run again to continue. Exit code 1: a cell failed.

    Examples:
        overmem sweep sweep.yaml --plan
        overmem sweep sweep.yaml --out sweeps/lr --confirm confirm.jsonl
    """
    from overmem.extras import check_extra

    check_extra("train", "overmem sweep")  # before torch is loaded
    from overmem.sweeping.cells import make_cells
    from overmem.sweeping.config import load_sweep
    from overmem.tasks.sources import read_ahead

    asked = load_sweep(config, out, confirm)
    data = [source for cell in make_cells(asked) for source in (cell.recipe.data.train, cell.recipe.data.val)]
    with read_ahead((source, None) for source in data if source is not None):
        _sweep(asked, workers, ray, plan=plan, json_=json_)


def _sweep(asked: Sweep, workers: int | None, ray: str | None, *, plan: bool, json_: bool) -> None:
    from overmem.cli.progress import model_progress, quiet_libraries
    from overmem.cli.views.sweep import cell_line, render_sweep, render_sweep_plan
    from overmem.sweeping.run import sweep as run_sweep

    quiet_libraries()
    screen = console(stderr=json_)
    if plan:
        from overmem.records import to_plain
        from overmem.sweeping.plan import plan_sweep

        planned = plan_sweep(asked, workers)
        if json_:
            print_json({**to_plain(planned), "seconds": planned.seconds_on(planned.workers)})
        else:
            render_sweep_plan(planned, screen)
        return

    def ended(state: CellState, number: int, total: int) -> None:
        say(screen, cell_line(state, number, total))

    with model_progress(screen, "sweep") as progress:
        found = run_sweep(asked, ray=ray, workers=workers, progress=progress, on_cell=ended)
    if json_:
        print_json(found.to_dict())
    else:
        screen.print()
        render_sweep(found, screen)
        say(screen, f"report: {Path(found.output) / 'report.html'}")
    if found.failed:
        raise typer.Exit(1)
