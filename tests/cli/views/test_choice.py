"""The choice in 80 columns: every headline, every use, and nothing cut off."""

from __future__ import annotations

from rich.console import Console

from overmem.cli.views.choice import render_base, render_trade
from overmem.records import AgainstBase, BaseModel, Estimate
from tests.verdict.test_trade import accuracy, trade
from tests.verdict.words.test_axes import cost


def printed(render, record):
    console = Console(width=80, record=True, force_terminal=False)
    with console.capture() as captured:
        render(record, console)
    return captured.get()


def test_the_trade_shows_headlines_and_uses_in_80_columns():
    found = printed(render_trade, trade(cost("diversity", "pass_at_8", "worse", headline=True)))
    assert max(map(len, found.splitlines())) <= 80
    assert "checkpoint-300 (most accurate) beside checkpoint-200 (ship)" in found
    assert "pass at 8" in found and "sampling or RL" in found and "not measured" in found


def test_the_last_is_shown_only_where_it_came_to_something_else():
    unknown = Estimate(0.3, 0.2, 0.4, 100)

    def base(*outcomes):
        return BaseModel(
            name="org/base",
            in_run=False,
            accuracy=unknown,
            nll_nats=unknown,
            perplexity=unknown,
            comparisons=tuple(
                AgainstBase(checkpoint=f"checkpoint-{i}", outcome=outcome, differences=(accuracy(),))
                for i, outcome in enumerate(outcomes)
            ),
        )

    alike, other = (printed(render_base, base("better", last)) for last in ("better", "worse"))
    assert "checkpoint-0 against the base model: better" in alike and "checkpoint-1" not in alike
    assert "checkpoint-1 against the base model: worse" in other and "base model: org/base" in other
