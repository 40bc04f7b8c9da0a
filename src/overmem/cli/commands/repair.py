"""`overmem merge` and `repair`: a better model from the checkpoints at hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from overmem.cli.options import (
    AllowCodeExecution,
    AllowPickle,
    Json,
    OwnGrader,
    OwnTemplate,
    Plan,
    RunArg,
    TrustRemoteCode,
    parse_weights,
    takes_rule,
)
from overmem.cli.screen import console, print_json, say
from overmem.rule import Rule

if TYPE_CHECKING:
    from overmem.repairing.plan import RepairPlan


def merge(
    checkpoints: Annotated[
        list[Path],
        typer.Argument(
            metavar="CHECKPOINT...", help="Two or more checkpoint folders, the earlier ones first."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write; it must not exist.")],
    method: Annotated[
        str, typer.Option(help="pair, wise, soup, linear, ema or slerp; ties and dare need mergekit.")
    ] = "pair",
    weights: Annotated[
        str | None, typer.Option(help="For linear: one weight for each checkpoint, such as 0.2,0.3,0.5.")
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(help="For wise and slerp: share of the second checkpoint, 0 to 1.")
    ] = None,
    decay: Annotated[
        float | None,
        typer.Option(help="For ema: share of the average that is kept at each checkpoint, 0 to 1."),
    ] = None,
    rank: Annotated[
        int | None, typer.Option(help="Largest rank of a merged adapter; without it the merge is exact.")
    ] = None,
    into_full: Annotated[
        bool, typer.Option("--into-full", help="Merge adapters into their base model.")
    ] = False,
    base_model: Annotated[
        str | None, typer.Option(help="Base model of the adapters, if it has moved.")
    ] = None,
    allow_different_tokenizers: Annotated[
        bool,
        typer.Option(
            "--allow-different-tokenizers",
            help="Merge although the tokenizers differ; the last one's is kept.",
        ),
    ] = False,
    json_: Json = False,
) -> None:
    """Average checkpoints of one fine-tune into an ordinary model or adapter folder.

    Examples:
        overmem merge outputs/checkpoint-100 outputs/checkpoint-200 --out merged/
        overmem merge outputs/checkpoint-* --method soup --out merged/
    """
    from overmem.merging import merge as run_merge

    path = run_merge(
        checkpoints,
        out,
        method=method,
        weights=parse_weights(weights),
        alpha=alpha,
        decay=decay,
        rank=rank,
        into_full=into_full,
        base_model=base_model,
        allow_different_tokenizers=allow_different_tokenizers,
    )
    if json_:
        print_json({"model": str(path), "method": method})
    else:
        say(console(), f"merged: {path}  (how it was made: {path / 'README.md'})")


@takes_rule("accuracy_margin", "perplexity_ratio", accuracy_margin="Loss of accuracy that counts as equal.")
def repair(
    run: RunArg,
    rule: Rule,
    confirm: Annotated[
        str | None, typer.Option(help="Problems for the proof only; by default a random half of val.")
    ] = None,
    before: Annotated[
        str | None, typer.Option(help="Checkpoint to beat; by default the recommended one.")
    ] = None,
    axes: Annotated[
        list[str] | None, typer.Option(help="Axes that the proof measures, as in audit; all by default.")
    ] = None,
    few: Annotated[int, typer.Option(help="Number of merges whose answers are measured.")] = 4,
    budget: Annotated[
        float | None, typer.Option(help="Minutes for search and proof; what does not fit is left out.")
    ] = None,
    plan: Plan = False,
    audit: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Results of the audit; RUN/overmem by default.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the repaired model; RUN/overmem/repaired by default.")
    ] = None,
    trust_remote_code: TrustRemoteCode = False,
    allow_pickle: AllowPickle = False,
    allow_code_execution: AllowCodeExecution = False,
    grader: OwnGrader = None,
    template: OwnTemplate = None,
    json_: Json = False,
) -> None:
    """Find an average of checkpoints that is better than the recommended one, and prove it.

    Examples:
        overmem repair outputs/ --plan
        overmem repair outputs/ --confirm confirm.jsonl
        overmem repair outputs/ --budget 60 --axes ood --axes recall
    """
    from overmem.artifacts.manifest import read_audited
    from overmem.artifacts.store import Store

    read_audited(Store.of_run(run, audit))  # refused before what loads models is imported

    from overmem.cli.progress import model_progress, quiet_libraries
    from overmem.cli.views.repair import render_repair, render_repair_plan
    from overmem.repairing.run import repair as run_repair

    quiet_libraries()
    screen = console()

    def show(planned: RepairPlan) -> None:
        if not json_:
            render_repair_plan(planned, screen)
        elif plan:
            print_json(planned.to_dict())
        if plan:
            raise typer.Exit

    with model_progress(console(stderr=True) if json_ else screen, "repair") as progress:
        found = run_repair(
            run,
            audit=audit,
            out=out,
            before=before,
            confirm=confirm,
            axes=",".join(axes or ["all"]),
            few=few,
            rule=rule,
            budget_minutes=budget,
            trust_remote_code=trust_remote_code,
            allow_pickle=allow_pickle,
            allow_code_execution=allow_code_execution,
            grader=grader,
            template=template,
            progress=progress,
            on_plan=show,
        )
    if json_:
        print_json(found.to_dict())
    else:
        render_repair(found, screen)
