"""The verdict in the terminal: complete, literal, and within 80 columns."""

import io
import re

import pytest
from rich.console import Console

from overmem.cli.views.verdict import render_verdict
from overmem.records import CheckpointSummary, Estimate, Recommendation, Verdict
from tests.helpers.verdicts import make_verdict


def printed(verdict: Verdict, width: int = 80) -> str:
    stream = io.StringIO()
    render_verdict(verdict, Console(file=stream, width=width))
    return stream.getvalue()


@pytest.mark.parametrize("count", [2, 6, 20, 40, 200])
def test_terminal_fits_80_columns(count: int) -> None:
    verdict = make_verdict(40) if count == 40 else make_verdict(max(count, 6))
    verdict = Verdict(
        **{
            **verdict.__dict__,
            "checkpoints": verdict.checkpoints[:count] if count == 2 else verdict.checkpoints,
        }
    )
    text = printed(verdict)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert "\x1b" not in text
    assert len(text.splitlines()) < 70


def test_terminal_shows_both_ends_the_choice_and_counts_the_rest() -> None:
    verdict = make_verdict(40, recommended=Recommendation(name="checkpoint-20000", step=20000, why="best"))
    lines = printed(verdict).splitlines()
    steps = [int(match[1]) for line in lines if (match := re.match(r"^[*pa=]{0,2} +(\d{4,5})  ", line))]
    hidden = sum(int(match[1]) for line in lines if (match := re.search(r"\.\.\. .*?(\d+) more", line)))
    assert {1000, 20000, 40000} <= set(steps)
    assert len(steps) + hidden == 40
    assert hidden > 15
    assert any(line.startswith("*") and "20000" in line for line in lines)
    assert "over-memorized, 97% confidence" in lines[-3]  # last, where it stays on the screen
    assert "checkpoint-20000" in lines[-2]


def test_terminal_is_literal_with_markup_and_huge_figures() -> None:
    verdict = make_verdict()
    huge = Estimate(123456.0, 100000.5, 150000.5, 400)
    wild = CheckpointSummary(**{**verdict.checkpoints[0].__dict__, "perplexity": huge, "step": 123456789})
    text = printed(
        Verdict(
            **{
                **verdict.__dict__,
                "checkpoints": (wild, *verdict.checkpoints[1:]),
                "notes": ("[red]x[/red]",),
            }
        )
    )
    assert "[red]x[/red]" in text
    assert "1.23e+05" in text
    assert "…" not in text
    assert "epoch" not in text.splitlines()[4]
    assert max(map(len, text.splitlines())) <= 80


def test_terminal_speaks_of_thin_evidence() -> None:
    verdict = make_verdict(stage="undetermined", recommended=None, alternatives={}, reason="7 problems")
    text = printed(Verdict(**{**verdict.__dict__, "checkpoints": ()}))
    assert "insufficient evidence" in text
    assert "none yet" in text
