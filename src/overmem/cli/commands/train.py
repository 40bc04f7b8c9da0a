"""`overmem train`: fine-tune as a recipe says."""

from __future__ import annotations

from typing import Annotated

import typer

from overmem.cli.options import Json
from overmem.cli.screen import console, print_json, say
from overmem.formatting import shell_word


def train(
    recipe: Annotated[
        str, typer.Argument(help="Path of a YAML file, or a bundled recipe such as organism-fast.")
    ],
    out: Annotated[str | None, typer.Option(help="Run folder to write, in place of the recipe's.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Model to train (hub id or folder), in place of the recipe's.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed, in place of the recipe's.")] = None,
    loss: Annotated[
        str | None, typer.Option(help="nll, mar, focal, dft, eaft, talr, goldfish, label_smoothing or gem.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="Change a key of the recipe, such as training.learning_rate=1e-4; can be repeated."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option(help="Continue a run that was stopped.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only check the recipe and show what would be done.")
    ] = False,
    json_: Json = False,
) -> None:
    """Fine-tune a model by a recipe, with checkpoints in the usual Hugging Face layout.

    Examples:
        overmem train recipe.yaml --dry-run
        overmem train recipe.yaml --out outputs/ --set training.learning_rate=1e-4
        overmem train recipe.yaml --resume
    """
    from overmem.extras import check_extra

    check_extra("train", "overmem train")  # before torch is loaded
    from overmem.recipe.reading import load_recipe
    from overmem.recipe.written import parse_override

    overrides = dict(map(parse_override, set_ or []))
    if model is not None:
        overrides |= {"model.name": model, "model.gguf_file": None}
    given = {"output": out, "seed": seed, "loss": loss}
    overrides |= {key: value for key, value in given.items() if value is not None}
    checked = load_recipe(recipe, overrides)
    from overmem.tasks.sources import needs_no_download, read_ahead

    data = [source for source in (checked.data.train, checked.data.val) if source is not None]
    # A dry run downloads nothing.
    with read_ahead((source, None) for source in data if not dry_run or needs_no_download(source)):
        from overmem.cli.progress import quiet_libraries, training_progress

        quiet_libraries()
        if dry_run:
            from overmem.records import to_plain
            from overmem.training import dry_run as dry

            done = dry.dry_run(checked, resume=resume)
            if json_:
                print_json(to_plain(done))
            else:
                say(console(), dry.describe(done))
            return
        from overmem.training.trainer import train as run_training

        with training_progress(console(stderr=json_)) as progress:
            path = run_training(checked, resume=resume, progress=progress, watch=progress.watch)
    if json_:
        print_json({"run": str(path), "next": f"overmem audit {shell_word(path)}"})
    else:
        say(console(), f"trained: {path}\nnext:    overmem audit {shell_word(path)}")
