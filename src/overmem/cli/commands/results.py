"""`overmem import` and `overmem export`: results of other evaluation tools, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from overmem.cli.options import Json, Out
from overmem.cli.screen import console, print_json, say
from overmem.formatting import shell_word


def import_(
    tool: Annotated[
        str, typer.Argument(metavar="TOOL", help="lm-eval, lighteval, inspect, evalscope, csv or parquet.")
    ],
    results: Annotated[
        Path | None, typer.Argument(metavar="RESULTS", help="Output folder of the tool, or one file of it.")
    ] = None,
    run: Annotated[Path, typer.Option(help="Folder of the run that was evaluated.")] = Path(),
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=FILE: results of that checkpoint, or base=FILE of the base model; can be repeated."
        ),
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="Task to read; a pattern such as 'mmlu_*' pools several.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="Figure that says whether an answer is right, as the tool names it.")
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="Folder with tokenizer.json, if no checkpoint has one.")
    ] = None,
    out: Out = None,
    json_: Json = False,
) -> None:
    """Read the results of another tool for a run's checkpoints, in place of an audit.

    Examples:
        overmem import lm-eval results/ --run outputs/
        overmem import csv answers.csv --run outputs/
    """
    from overmem.results.matching import parse_given
    from overmem.results.run import import_results

    found = import_results(
        tool,
        results,
        run,
        out=out,
        checkpoints=parse_given(checkpoint or []),
        task=task,
        metric=metric,
        tokenizer=tokenizer,
    )
    names = [item.name for item in found.manifest.checkpoints]
    imported = found.manifest.imported
    assert imported is not None
    if json_:
        print_json(
            {
                "imported": str(found.store.root),
                "task": imported.task,
                "metric": imported.metric,
                "checkpoints": names,
                "rests_on": found.rests_on,
                "notes": list(imported.notes),
            }
        )
        return
    base = " and the base model" if found.manifest.base is not None else ""
    say(console(), f"{imported.task}, by {imported.metric}: {', '.join(names)}{base}")
    say(console(), f"rests on: {found.rests_on}")
    for note in imported.notes:
        say(console(), f"note: {note}")
    say(console(), f"imported: {found.store.root}")
    say(console(), f"\nnext: overmem diagnose {shell_word(run if out is None else out)}")


def export(
    format: Annotated[
        str, typer.Argument(metavar="FORMAT", help="lm-eval, inspect, csv, parquet or lm-eval-task.")
    ],
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder, or a folder of results.")],
    out: Annotated[Path, typer.Option(help="File (csv, parquet) or folder to write.")],
    val: Annotated[
        str | None, typer.Option(help="For lm-eval-task: the problems; by default those of the run's recipe.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="For lm-eval-task: at most so many problems.")
    ] = None,
    json_: Json = False,
) -> None:
    """Write an audit's rows in the format of another tool, or as a task for lm-eval.

    Examples:
        overmem export csv outputs/ --out answers.csv
        overmem export lm-eval-task outputs/ --out tasks/
    """
    if format == "lm-eval-task":
        from overmem.results.lm_eval_task import write_lm_eval_task

        task = write_lm_eval_task(run, out, val=val, limit=limit)
        if json_:
            print_json({"problems": task.problems, "written": [str(task.folder)]})
            return
        say(console(), f"{task.problems} problems: {task.folder}")
        say(console(), f"\nnext, for each checkpoint:\n{task.command(run / 'CHECKPOINT')}")
        return
    from overmem.results.exporting.run import export_rows

    paths = list(export_rows(format, run, out))
    if json_:
        print_json({"written": [str(path) for path in paths]})
        return
    for path in paths:
        say(console(), f"written: {path}")
