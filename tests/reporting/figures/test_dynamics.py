"""The figure of a verdict: valid, with every point, and readable whatever its scale."""

from overmem.reporting.figures.curves import Panel
from overmem.reporting.figures.dynamics import figure_variants
from tests.helpers.verdicts import make_verdict, record_of


def test_figure_is_valid_plotly_and_holds_every_point() -> None:
    from plotly.graph_objects import Figure

    verdict = make_verdict()
    variants = figure_variants(record_of(verdict))
    assert set(variants) == {"light-wide", "light-compact", "dark-wide", "dark-compact"}
    for figure in variants.values():
        assert len(Figure(figure).data) == len(figure["data"])
        lines = {trace["name"]: trace for trace in figure["data"] if "name" in trace}
        assert lines["accuracy"]["y"] == [summary.accuracy.value for summary in verdict.checkpoints]
        assert lines["perplexity"]["y"] == [summary.perplexity.value for summary in verdict.checkpoints]
        assert lines["accuracy"]["x"] == [summary.step for summary in verdict.checkpoints]
        assert any("fillpattern" in trace for trace in figure["data"])


def test_an_untrained_first_checkpoint_does_not_flatten_the_perplexity_curve() -> None:
    record = make_verdict(5).to_dict()
    for name, value in (("value", 40.0), ("low", 38.0), ("high", 42.0)):
        record["checkpoints"][0]["perplexity"][name] = value
    panel = Panel(record, "perplexity", "y2", "#000")
    assert panel.off_scale == [0] and panel.ceiling < 10 and not panel.log
    record["checkpoints"][-1]["perplexity"]["value"] = 40.0
    assert Panel(record, "perplexity", "y2", "#000").off_scale == []
