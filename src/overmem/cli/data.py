"""`overmem data`: look at data before training and measuring; needs no model."""

from __future__ import annotations

from typing import Annotated

import typer

from overmem.cli.options import Json
from overmem.cli.screen import console, print_json
from overmem.errors import DataError

data = typer.Typer(
    help="Look at data before training and measuring: is a val problem a training problem?",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@data.command("check")
def check(
    val: Annotated[str, typer.Option(help="Problems that decide, a source as for `overmem audit`.")],
    train: Annotated[str | None, typer.Option(help="All training data.")] = None,
    ood: Annotated[
        list[str] | None, typer.Option(help="NAME=SOURCE: problems of another distribution; repeatable.")
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(help="prompt=COLUMN,completion=COLUMN,answer=COLUMN of val and train."),
    ] = None,
    strict_overlap: Annotated[bool, typer.Option(help="Renumbered problems count as leaks, too.")] = False,
    json_: Json = False,
) -> None:
    """Find val problems that training has, copied, reworded or renumbered. Exit code 1: too many."""
    from overmem.cli.views.overlap import render_overlap
    from overmem.contamination.check import check_sets
    from overmem.contamination.policy import leaked_ids, refusal
    from overmem.tasks.sources import load_examples

    examples = load_examples(val, columns).examples
    record = check_sets(
        examples,
        None if train is None else load_examples(train, columns).examples,
        {f"ood/{name}": load_examples(source).examples for name, source in _named(ood or []).items()},
    )
    refused = refusal(len(leaked_ids(record, "val", strict_overlap)), len(examples))
    if json_:
        print_json({**record.to_dict(), "refused": refused})
    else:
        render_overlap(record, refused, console())
    if refused is not None:
        raise typer.Exit(1)


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
