"""Progress of long work: a line now and then in a log, bars in a terminal."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from overmem.cli import progress
from overmem.cli.progress import audit_progress, model_progress, readings_table, training_progress
from overmem.records import Checkpoint, Run
from overmem.verdict.live import read_points
from tests.helpers.points import RULE, points_of


def checkpoints(*steps):
    made = [Checkpoint(name=f"checkpoint-{n}", step=n, path=Path(f"{n}"), kind="full") for n in steps]
    return Run(path=Path("run"), checkpoints=tuple(made))


@pytest.fixture
def log():
    return Console(file=io.StringIO(), width=80)


@pytest.fixture
def terminal():
    return Console(file=io.StringIO(), width=80, force_terminal=True)


def said(console):
    return console.file.getvalue()


def lines(console):
    return [line.partition("] ")[2] for line in said(console).splitlines()]


def reading():
    return read_points(*points_of([0.4, 0.6]), RULE)


def test_a_log_has_a_line_at_the_start_and_at_the_end_and_few_between(log):
    with training_progress(log) as view:
        for step in range(1, 101):
            view(step, 100, 0.5)
        view.watch(reading())
    first, last, watched = lines(log)
    assert (first, last) == (
        "training: step 1/100, train loss 0.500",
        "training: step 100/100, train loss 0.500",
    )
    assert watched == f"monitor: {reading().describe()}"


def test_every_line_is_written_once_the_wait_is_over(log, monkeypatch):
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0)
    with model_progress(log, "repair") as view:
        for done in (1, 2, 3):
            view("soup", "likelihood", done, 3)
    assert lines(log) == [f"repair: soup likelihood {done}/3" for done in (1, 2, 3)]


def test_a_log_of_an_audit_says_which_of_how_many(log, monkeypatch):
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0)
    with audit_progress(log, checkpoints(10, 20)) as view:
        view("checkpoint-10", "likelihood", 1, 4)
        view("checkpoint-20", "likelihood", 4, 4)
        view("base", "likelihood", 1, 4)
    assert lines(log) == [
        "audit: checkpoint-10 (1/2) likelihood 1/4",
        "audit: checkpoint-20 (2/2) likelihood 4/4",
        "audit: base likelihood 1/4",
    ]


def test_workers_are_told_together(log, monkeypatch):
    monkeypatch.setattr(progress, "QUIET_SECONDS", 0)
    with audit_progress(log, checkpoints(10, 20, 30), at_once=2) as view:
        for step in (10, 20, 30):
            view(f"checkpoint-{step}", "accuracy", 1, 4)
    # The third takes the place of the one that was heard of least recently.
    assert lines(log)[-1] == "audit: checkpoint-20 (2/3) accuracy 1/4, checkpoint-30 (3/3) accuracy 1/4"


def test_a_terminal_shows_bars_that_end_full(terminal):
    with audit_progress(terminal, checkpoints(10, 20)) as view:
        view("checkpoint-10", "likelihood", 4, 4)
        view("checkpoint-20", "likelihood", 4, 4)
    assert "checkpoint-20 likelihood" in said(terminal) and "2/2" in said(terminal)
    with model_progress(terminal, "repair") as view:
        view("soup", "accuracy", 2, 3)
    assert "soup accuracy" in said(terminal) and "2/3" in said(terminal)
    with training_progress(terminal) as view:
        view(5, 9, 0.25)
        view.watch(reading())
    assert "training, train loss 0.250" in said(terminal) and "stage (confidence)" in said(terminal)


def test_the_table_of_readings_keeps_the_latest_and_shows_accuracy_where_there_is_one(log):
    answered = read_points(*points_of([0.4, 0.6], accuracy=[0.5, 0.75]), RULE)
    log.print(readings_table([reading()] * 30 + [answered]))
    text = said(log)
    assert "accuracy" in text and "75.0%" in text
    assert len(text.splitlines()) == 1 + progress.SHOWN_READINGS
