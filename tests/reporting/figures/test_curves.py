"""The curves of a verdict: readable whatever their scale."""

from dataclasses import replace

from overmem.records import Estimate
from overmem.reporting.figures.curves import Panel
from tests.helpers.verdicts import make_verdict


def test_an_untrained_first_checkpoint_does_not_flatten_the_perplexity_curve() -> None:
    verdict = make_verdict(5)

    def panel(*changed: int) -> Panel:
        wild = Estimate(40.0, 38.0, 42.0, 400)
        checkpoints = tuple(
            replace(summary, perplexity=wild) if i in changed else summary
            for i, summary in enumerate(verdict.checkpoints)
        )
        return Panel(replace(verdict, checkpoints=checkpoints), "perplexity", "y2", "#000")

    assert panel(0).off_scale == [0] and panel(0).ceiling < 10 and not panel(0).log
    assert panel(0, 4).off_scale == []
