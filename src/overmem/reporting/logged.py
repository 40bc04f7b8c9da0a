"""The page and the Markdown of a verdict that rests on a training log alone: made from its record only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from overmem.formatting import markdown
from overmem.records import VERDICT_SCHEMA, Verdict
from overmem.records.logged import LoggedReading, LoggedRun, LoggedSeries
from overmem.reporting.assets import render_page
from overmem.reporting.figures.theme import Figure, axis, layout, plotly_text, rounded
from overmem.reporting.view import Values
from overmem.verdict.words.logged import MOST_OTHERS, UNTOLD, keep_line, log_line, shown_series
from overmem.verdict.words.narrative import plain_words

MOST_ROWS = 60
"""Of a table of evaluations."""
_DIFFERENCES = {
    "best": "best",
    "alike": "does not differ",
    "worse": "worse",
    "unknown": "noise not known",
}


def render_logged_page(verdict: Verdict, *, title: str) -> str:
    """The self-contained page of a verdict with `logged`.

    Args:
        verdict: the record.
        title: heading of the page, usually the run's name.
    """
    if verdict.logged is None:
        raise ValueError("the verdict has no reading of a log")
    runs = _runs(verdict.logged)
    drawn = [(f"logged-{i}", lead, one) for i, (lead, one) in enumerate(_all_shown(runs))]
    return render_page(
        "logged.html",
        {
            "title": title,
            "schema": VERDICT_SCHEMA,
            "runs": [_answer(run, number, len(runs)) for number, run in enumerate(runs, 1)],
            "words": verdict.words or plain_words(verdict),
            "notes": verdict.notes,
            "figures": [_values(name, lead, one) for name, lead, one in drawn],
        },
        figures={name: evaluation_figure(one) for name, _, one in drawn},
    )


def _runs(reading: LoggedReading) -> list[LoggedRun]:
    """The runs that are shown one by one: the first, and the strangers beside it."""
    return [reading.runs[0], *reading.strangers[:MOST_OTHERS]]


def _answer(run: LoggedRun, number: int, count: int) -> Values:
    return {
        "label": f"run {number} of {count}" if count > 1 else "",
        "keep": run.keep.name if run.keep else "Cannot be told",
        "told": run.keep is not None,
        "keep_line": keep_line(run).removeprefix(UNTOLD),
        "log_line": log_line(run, named=count > 1),
    }


def _all_shown(runs: Sequence[LoggedRun]) -> list[tuple[str, LoggedSeries]]:
    """What is drawn of all runs, each with the run that it is of, where there are several."""
    return [
        (f"run {number}, " if len(runs) > 1 else "", one)
        for number, run in enumerate(runs, 1)
        for one in _shown(run)
    ]


def evaluation_figure(one: LoggedSeries) -> Figure:
    """A logged figure over the steps: a line, the best as a filled diamond, those alike as filled dots.

    Args:
        one: the series.
    """
    steps, values = [point.step for point in one.points], [point.value for point in one.points]
    line = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": steps,
        "y": rounded(values, 7),
        "line": {"color": "@ink", "width": 1.5},
        "marker": {
            "color": ["@worse" if p.difference == "worse" else "@better" for p in one.points],
            "symbol": ["diamond" if p.difference == "best" else "circle" for p in one.points],
            "size": [11 if p.difference == "best" else 6 for p in one.points],
        },
        "text": [plotly_text(f"step {p.step}: {_DIFFERENCES[p.difference]}") for p in one.points],
        "hovertemplate": "%{text}<br>%{y:.4g}<extra></extra>",
    }
    return Figure(
        layout=layout(axis("optimizer step"), axis(plotly_text(one.key[:60])), height=300), base=(line,)
    )


def logged_markdown(verdict: Verdict, *, title: str) -> str:
    """The verdict from a log as Markdown; what comes from the run is escaped.

    Args:
        verdict: the record, with `logged`.
        title: the run's name.
    """
    if verdict.logged is None:
        raise ValueError("the verdict has no reading of a log")
    runs = _runs(verdict.logged)
    lines = [f"## overmem: {markdown(title)}", ""]
    for number, run in enumerate(runs, 1):
        whose = f" (run {number}, {markdown(log_line(run, named=True))})" if len(runs) > 1 else ""
        lines += [f"**Keep{whose}:** {markdown(keep_line(run))}.", ""]
    lines += [f"- {markdown(words)}" for words in verdict.words or plain_words(verdict)]
    lines += [f"- {markdown(note)}" for note in verdict.notes]
    for lead, one in _all_shown(runs):
        lines += ["", *_table(lead, one)]
    lines += ["", "Read from the training log alone: nothing was measured."]
    return "\n".join(lines) + "\n"


def _shown(run: LoggedRun) -> list[LoggedSeries]:
    """What the page draws: the series that speak, or with several sets the losses and what was picked by."""
    if not run.series:
        return []
    if len({one.set_name for one in run.series}) == 1:
        return shown_series(run)
    return list(dict.fromkeys([*shown_series(run), *(one for one in run.series if one.measure == "loss")]))


def _values(name: str, lead: str, one: LoggedSeries) -> Values:
    way = "lower" if one.lower_is_better else "higher"
    title = lead + ("mean of the sets" if "," in one.key else one.key)
    words = (
        f"{title} over the steps, {way} is better: best {one.best:.4g} at step {one.best_step:,}, last "
        f"{one.last:.4g} at step {one.last_step:,}. Noise: {one.noise_by}."
    )
    return {"name": name, "title": title, "words": words, "rows": list(_rows(one))}


def _rows(one: LoggedSeries) -> Iterable[Values]:
    stride = max(1, -(-len(one.points) // MOST_ROWS))
    for i, point in enumerate(one.points):
        if i % stride == 0 or point.difference == "best" or point is one.points[-1]:
            yield {
                "step": f"{point.step:,}",
                "epoch": "" if point.epoch is None else f"{point.epoch:.4g}",
                "value": f"{point.value:.4g}",
                "difference": _DIFFERENCES[point.difference],
                "saved_as": point.saved_as or "",
            }


def _table(lead: str, one: LoggedSeries) -> Iterable[str]:
    title = lead + ("mean of the sets" if "," in one.key else one.key)
    yield f"| step | epoch | {markdown(title)} | against the best | on disk |"
    yield "| ---: | ---: | ---: | --- | --- |"
    for row in _rows(one):
        yield (
            f"| {row['step']} | {row['epoch']} | {row['value']} | {row['difference']} "
            f"| {markdown(row['saved_as'])} |"
        )
