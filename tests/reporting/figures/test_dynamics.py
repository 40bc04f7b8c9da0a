"""The figure of a verdict: valid, with every point.

Covers: overmem.reporting.figures.layout
"""

from overmem.reporting.figures.dynamics import figure_variants
from tests.helpers.verdicts import make_verdict


def test_figure_is_valid_plotly_and_holds_every_point() -> None:
    from plotly.graph_objects import Figure

    verdict = make_verdict()
    variants = figure_variants(verdict)
    assert set(variants) == {"light-wide", "light-compact", "dark-wide", "dark-compact"}
    for figure in variants.values():
        assert len(Figure(figure).data) == len(figure["data"])
        lines = {trace["name"]: trace for trace in figure["data"] if "name" in trace}
        assert lines["accuracy"]["y"] == [summary.accuracy.value for summary in verdict.checkpoints]
        assert lines["perplexity"]["y"] == [summary.perplexity.value for summary in verdict.checkpoints]
        assert lines["accuracy"]["x"] == [summary.step for summary in verdict.checkpoints]
        assert any("fillpattern" in trace for trace in figure["data"])
