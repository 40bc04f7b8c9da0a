"""How far the recommended point is from where a stage ends."""

from overmem.records import Estimate
from overmem.sweeping.edges import find_edges
from overmem.sweeping.narrative import edges_text
from overmem.sweeping.record import Group, Point
from tests.helpers.sweeps import RATE


def make_point(group, epoch, stage):
    figure = Estimate(0.5, 0.4, 0.6, 100)
    return Point(
        group=group, checkpoint=f"checkpoint-{epoch}", step=epoch, epoch=float(epoch), stage=stage,
        leaning=None, confidence=0.9, accuracy=figure, nll_nats=figure, perplexity=figure,
        perplexity_ratio=1.0,
    )  # fmt: skip


def test_steps_to_the_edge_are_counted_along_each_dimension_alone():
    rates, losses = (1e-4, 2e-4, 4e-4, 8e-4), ("nll", "mar")
    stages = {"nll": "LFFO", "mar": "FFFF"}
    words = {"L": "learning", "F": "fit", "O": "overfit"}
    groups, points = [], []
    for loss in losses:
        for rate, letter in zip(rates, stages[loss], strict=True):
            name = f"{loss}-{rate}"
            groups.append(Group(name=name, settings={RATE: rate, "loss": loss}, cells=(name,), onset=None,
                                onset_epoch=None, onset_epoch_low=None, onset_epoch_high=None,
                                scheduler="linear"))  # fmt: skip
            points += [make_point(name, epoch, words[letter]) for epoch in (1, 2, 3)]
    # This one has no second epoch: the grid ends there.
    points = [p for p in points if (p.group, p.epoch) != ("mar-0.0008", 2.0)]

    def edges(group):
        chosen = next(p for p in points if (p.group, p.epoch) == (group, 2.0))
        found = find_edges(chosen, points, groups)
        return {(e.key, e.upward): (e.steps, e.stage, e.to) for e in found}

    assert edges("nll-0.0002") == {
        (RATE, False): (1, "learning", "nll-0.0001, epoch 2"),
        (RATE, True): (2, "overfit", "nll-0.0008, epoch 2"),
        ("epoch", False): (1, None, None),
        ("epoch", True): (1, None, None),
    }
    assert edges("mar-0.0002")[RATE, True] == (1, None, None)

    # One that failed may lie past the edge: the fit region is not known to go on beyond it.
    there = [group for group in groups if group.name != "mar-0.0002"]
    chosen = next(p for p in points if (p.group, p.epoch) == ("mar-0.0001", 2.0))
    absent = {"mar-0.0002": {RATE: 2e-4, "loss": "mar"}, "dft-0.0002": {RATE: 2e-4, "loss": "dft"}}
    found = find_edges(chosen, [p for p in points if p.group != "mar-0.0002"], there, absent)
    up = next(edge for edge in found if (edge.key, edge.upward) == (RATE, True))
    assert (up.steps, up.to, up.stage) == (1, "mar-0.0002", "without a result")
    assert "1 step up in learning rate is without a result" in edges_text(found)
