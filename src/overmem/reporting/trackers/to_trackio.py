"""A verdict as a run of trackio, local unless its own settings name a space."""

from __future__ import annotations

from overmem.reporting.trackers.published import COLUMNS, PREFIX, Published, load

PROJECT = "overmem"


def push(published: Published, project: str | None) -> str:
    """Log figures by step, the table and the words as one run.

    Args:
        published: the verdict.
        project: of trackio.

    Returns:
        Where it is now.

    Raises:
        RunError: trackio is not installed.
    """
    trackio = load("trackio", "trackio")
    pandas = load("pandas", "trackio")
    name = project or PROJECT
    config = {key.removeprefix(PREFIX): value for key, value in published.summary.items()}
    run = trackio.init(project=name, name=f"overmem {published.title}", config=config, embed=False)
    for step, figures in published.figures:
        run.log(dict(figures), step=step)
    table = trackio.Table(dataframe=pandas.DataFrame(list(published.table), columns=list(COLUMNS)))
    run.log({f"{PREFIX}checkpoints": table, f"{PREFIX}report": trackio.Markdown(published.markdown)})
    trackio.finish()
    return f"trackio show --project {name}"
