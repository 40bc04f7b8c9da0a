"""A verdict as a run of MLflow, in the store that its own settings name (`MLFLOW_TRACKING_URI`)."""

from __future__ import annotations

from overmem.reporting.trackers.published import COLUMNS, Published, load

_MOST = 5000
"""Characters of a tag's value that MLflow keeps."""


def push(published: Published, experiment: str | None) -> str:
    """Log figures by step, tags, the table, the record and the page as one run; its description answers.

    Args:
        published: the verdict.
        experiment: of MLflow; its own default where none is named.

    Returns:
        Where it is now.

    Raises:
        RunError: mlflow is not installed.
    """
    mlflow = load("mlflow", "mlflow")
    if experiment is not None:
        mlflow.set_experiment(experiment)
    with mlflow.start_run(run_name=f"overmem {published.title}", description=published.answer) as run:
        for step, figures in published.figures:
            mlflow.log_metrics(dict(figures), step=step)
        mlflow.set_tags({key: str(value)[:_MOST] for key, value in published.summary.items()})
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in published.table]
        mlflow.log_dict({"checkpoints": rows}, "overmem/checkpoints.json")
        mlflow.log_dict(published.verdict.to_dict(), "overmem/verdict.json")
        mlflow.log_text(published.markdown, "overmem/report.md")
        mlflow.log_text(published.html(), "overmem/report.html")
    return f"{mlflow.get_tracking_uri()}, run {run.info.run_id}"
