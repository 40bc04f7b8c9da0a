"""`overmem data`: what the data of a fine-tune hold that they should not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from overmem.cli.app import SETTINGS
from overmem.cli.help import HelpCommand, HelpGroup
from overmem.cli.options import Json, RunArg
from overmem.cli.screen import console, print_json, say
from overmem.errors import DataError
from overmem.formatting import shell_word

data = typer.Typer(
    cls=HelpGroup,
    help="Check val against the training data, list memorized rows, write the data without them.",
    no_args_is_help=True,
    **SETTINGS,
)

Checkpoint = Annotated[
    str | None, typer.Option(help="Checkpoint at which rows are judged; by default the last.")
]


@data.command(cls=HelpCommand)
def check(
    val: Annotated[str, typer.Option(help="Validation problems, named as in `overmem audit`.")],
    train: Annotated[str | None, typer.Option(help="Training data, all of them.")] = None,
    ood: Annotated[
        list[str] | None, typer.Option(help="NAME=SOURCE: problems of another distribution; can be repeated.")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(help="Which columns of val and train are what, as prompt=COLUMN,answer=COLUMN."),
    ] = None,
    strict_overlap: Annotated[bool, typer.Option(help="Count renumbered problems as leaks too.")] = False,
    json_: Json = False,
) -> None:
    """Find val problems that are in the training data: copied, reworded or renumbered. Exit code 1: too many.

    Examples:
        overmem data check --val val.jsonl --train train.jsonl
        overmem data check --val val.jsonl --train train.jsonl --ood svamp=svamp.json --json
    """
    from overmem.cli.views.overlap import render_overlap
    from overmem.contamination.data_check import data_check

    found = data_check(val, train, ood=_named(ood or []), columns=columns, strict_overlap=strict_overlap)
    if json_:
        print_json(found.to_dict())
    else:
        render_overlap(found.record, found.refused, console())
    if found.refused is not None:
        raise typer.Exit(1)


@data.command(cls=HelpCommand)
def memorized(
    run: RunArg,
    csv: Annotated[
        Path | None, typer.Option(help="Also write the figures of every row to this file.")
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="Number of rows to show.")] = 10,
    checkpoint: Checkpoint = None,
    json_: Json = False,
) -> None:
    """List the training rows that an audited run memorized most.

    Examples:
        overmem data memorized outputs/
        overmem data memorized outputs/ --rows 50 --csv memorized.csv
    """
    from overmem.artifacts.files import named_output, write_text_atomic
    from overmem.cli.views.tables import render_memorized
    from overmem.memorized.ranking import rank_training_rows
    from overmem.reporting.downloads import csv_text
    from overmem.reporting.exhibits.memorized import memorized_table
    from overmem.verdict.diagnose import open_audit

    store, manifest = open_audit(run)
    found = rank_training_rows(store, manifest, checkpoint)
    texts = store.read_texts().filter(set="train") if store.has_texts() else None
    if csv is not None:
        write_text_atomic(named_output(csv, ".csv"), csv_text(memorized_table(found, texts=texts)))
    if json_:
        print_json(found.to_dict(rows))
        return
    render_memorized(found, texts, rows, console())
    after = f"next: overmem data clean {shell_word(run)} --out clean.jsonl" if csv is None else f"rows: {csv}"
    say(console(), f"\n{after}")


@data.command(cls=HelpCommand)
def clean(
    run: RunArg,
    out: Annotated[Path, typer.Option(help="JSONL file to write; it must not exist.")],
    share: Annotated[float, typer.Option(help="Share of the training rows to leave out, 0 to 1.")] = 0.1,
    checkpoint: Checkpoint = None,
    json_: Json = False,
) -> None:
    """Write the training data without the most memorized rows and without duplicates.

    Examples:
        overmem data clean outputs/ --out clean.jsonl
        overmem data clean outputs/ --out clean.jsonl --share 0.05
    """
    from overmem.memorized.clean_data import clean_training_data
    from overmem.records import to_plain

    cleaned = clean_training_data(run, out, share=share, checkpoint=checkpoint)
    if json_:
        print_json(to_plain(cleaned))
    else:
        say(console(), cleaned.words)


def _named(given: list[str]) -> dict[str, str]:
    """`NAME=SOURCE` as a mapping."""
    found = {}
    for text in given:
        name, sign, source = text.partition("=")
        if not (name and sign and source) or name in found:
            raise DataError(
                "an OOD set needs a name of its own",
                got=text,
                expected="--ood NAME=SOURCE, such as --ood svamp=svamp.json",
            )
        found[name] = source
    return found
