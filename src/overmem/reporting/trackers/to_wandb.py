"""A verdict as a run of Weights & Biases; offline where its own settings say so (`WANDB_MODE=offline`)."""

from __future__ import annotations

from overmem.reporting.trackers.published import COLUMNS, PREFIX, Published, load


def push(published: Published, project: str | None) -> str:
    """Log figures by step, the table, the page and the summary as one run; its notes are the answer.

    Args:
        published: the verdict.
        project: of W&B; its own default where none is named.

    Returns:
        Where it is now.

    Raises:
        RunError: wandb is not installed.
    """
    wandb = load("wandb", "wandb")
    run = wandb.init(
        project=project, name=f"overmem {published.title}", job_type="overmem", notes=published.answer
    )
    try:
        run.define_metric(f"{PREFIX}step")
        run.define_metric(f"{PREFIX}*", step_metric=f"{PREFIX}step")
        for step, figures in published.figures:
            run.log({f"{PREFIX}step": step, **figures})
        table = wandb.Table(columns=list(COLUMNS), data=[list(row) for row in published.table])
        run.log(
            {f"{PREFIX}checkpoints": table, f"{PREFIX}report": wandb.Html(published.html(), inject=False)}
        )
        run.summary.update(dict(published.summary))
    finally:
        run.finish()
    return str(run.url or run.dir)
