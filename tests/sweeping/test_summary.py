"""Sweeps: what people write, how cells are called, and what configurations say together, by hand."""

import dataclasses
import json
import math
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from rich.console import Console

from overmem.cli.views.sweep import render_sweep
from overmem.errors import RecipeError
from overmem.recipe.schema import load_recipe
from overmem.records import Estimate
from overmem.stats.moments import measure_curves
from overmem.sweeping.cells import make_cells, varied_keys
from overmem.sweeping.config import check_sweep, load_sweep
from overmem.sweeping.edges import find_edges
from overmem.sweeping.narrative import edges_text, sweep_words
from overmem.sweeping.page.html import render_sweep_report
from overmem.sweeping.page.view import heat_tables
from overmem.sweeping.record import Group, Point
from overmem.sweeping.summary import make_family, points_table, pool_points
from tests.helpers.sweeps import RATE, configuration, learning_rates, result


def asked(**changes):
    written = {"recipe": "organism-fast", "output": "runs/s", "grid": {RATE: [1e-4, 2e-4]}}
    return check_sweep(written | changes, "s.yaml")


# What people write.


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"grid": {}}, "nothing varies"),
        ({"grid": {RATE: []}}, rf"grid\.{RATE}: no values"),
        ({"girds": {}}, r"girds[\s\S]*keys: recipe, output, set, grid"),
        ({"grid": {"output": ["a"]}}, r"grid\.output"),
        ({"set": {RATE: 1}}, rf"{RATE}: is in (grid|set) too"),
        ({"cells": [{"loss": "mar"}, {RATE: 1}]}, rf"cells\.1\.{RATE}: is in grid too"),
        ({"audit": {"axis": ["ood"]}}, r"audit: axis"),
        ({"audit": {"limit": "many"}}, r"audit: limit"),
        ({"audit": {"axes": ["speed"]}}, r"unknown axis[\s\S]*speed"),
        ({"audit": {"until_decided": True}}, r"audit\.until_decided"),
        ({"audit": {"engine": "openai:http://x"}}, r"audit\.engine"),
        ({"rule": {"perplexity_ratio": 0.9}}, r"rule\.perplexity_ratio"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(changes, message):
    with pytest.raises(RecipeError, match=message):
        asked(**changes)


def test_a_wrong_cell_is_named_with_its_field():
    with pytest.raises(RecipeError, match=r"cell method=loraa[\s\S]*method: Input should be 'full', 'lora'"):
        make_cells(asked(grid={"method": ["full", "loraa"]}))
    with pytest.raises(RecipeError, match=r"same fine-tune[\s\S]*loss=nll and"):
        make_cells(asked(grid={}, cells=[{"loss": "nll"}, {"seed": 0}]))


def test_a_number_that_yaml_takes_for_a_string_is_a_number():
    cells = make_cells(asked(grid={RATE: ["1e-4", 2e-4]}))
    assert [cell.recipe.training["learning_rate"] for cell in cells] == [1e-4, 2e-4]
    assert [cell.name for cell in cells] == ["learning_rate=0.0001", "learning_rate=0.0002"]


def test_names_are_readable_stable_and_fit_for_a_folder():
    sweep = asked(
        grid={RATE: [1e-4, 2e-4], "seed": [0, 1]}, cells=[{"data.train": "wordmath:train[:400]"}, {}]
    )
    cells = make_cells(sweep)
    assert len(cells) == 8
    assert cells[0].name == "train=wordmath-train-400+learning_rate=0.0001+seed=0"
    assert cells[-1].name == "learning_rate=0.0002+seed=1" and cells[-1].group == "learning_rate=0.0002"
    assert cells[0].recipe.output == f"runs/s/{cells[0].name}"
    # A longer grid changes no name, even where a key had one value before.
    short = make_cells(asked(grid={RATE: [1e-4], "seed": [0]}))
    assert short[0].name in {
        cell.name for cell in make_cells(asked(grid={RATE: [1e-4, 2e-4], "seed": [0, 1]}))
    }
    assert varied_keys(cells) == ("data.train", RATE)
    assert cells[-1].value("data.train") == "wordmath:train[:1600]"
    # Values that look alike in a name are told apart; keys that end alike are written out.
    alike = make_cells(asked(grid={"data.train": ["a/b.jsonl", "a-b.jsonl"]}))
    assert len({cell.name for cell in alike}) == 2
    ends = make_cells(
        asked(grid={"template.kind": ["chat", "plain"], "lora.kind": [1]}, set={"method": "lora"})
    )
    assert ends[0].name == "lora.kind=1+template.kind=chat"


def test_what_one_cell_sets_inside_a_mapping_stays_with_it():
    shared = {"lora": {"r": 8, "lora_alpha": 16}}
    sweep = asked(grid={}, set=shared, cells=[{"method": "lora", "lora.r": 64}, {"method": "dora"}])
    ranks = [cell.recipe.lora["r"] for cell in make_cells(sweep)]
    assert ranks == [64, 8] and sweep.set["lora"] == {"r": 8, "lora_alpha": 16}


def test_the_bundled_sweeps_are_valid():
    cells = make_cells(load_sweep("sweep-organism"))
    assert len(cells) == 8 and {cell.recipe.seed for cell in cells} == {0, 1}
    cells = make_cells(load_sweep("sweep-methods"))
    adapters = {"lora", "dora", "rslora", "lora_plus", "olora", "pissa"}
    assert len(cells) == 30 and {cell.recipe.method for cell in cells} == adapters
    cells = make_cells(load_sweep("sweep-gsm8k"))
    assert len(cells) == 8 and {cell.recipe.method for cell in cells} == {"full", "lora"}
    assert {cell.recipe.training["num_train_epochs"] for cell in cells} == {10}
    cells, first = make_cells(load_sweep("sweep-pocketcode")), load_recipe("organism-pocketcode")
    assert {cell.recipe.seed for cell in cells} == set(range(5))
    assert {cell.recipe.model.name for cell in cells} == {f"{first.output}/checkpoint-1600"}
    known = r"no such sweep[\s\S]*one of: sweep-gsm8k, sweep-methods, sweep-organism, sweep-pocketcode"
    with pytest.raises(RecipeError, match=known):
        load_sweep("sweep-nothing")


# What configurations say together.


def test_errors_of_points_are_those_of_the_problems_and_of_the_seeds():
    rng = np.random.default_rng(0)
    one, two = (
        configuration({RATE: rate}, rng.uniform(0.3, 0.8, (s, 2)), rng.uniform(0.2, 0.5, (s, 2)), n=60)
        for rate, s in ((1, 1), (2, 3))
    )
    found = pool_points([one, two])
    rows = [item.seeds.correct_S_C_N.mean(axis=0) for item in (one, two)]
    by_hand = np.cov(np.concatenate(rows)) / 60
    between = np.cov(two.seeds.correct_S_C_N.mean(axis=2).T) / 3
    by_hand[2:, 2:] += between
    assert np.allclose(found.sample_cov_B_B[:4, :4], by_hand, atol=1e-12)
    # With one configuration of one seed it is what a verdict rests on.
    core = one.seeds
    alone = measure_curves(core.correct_S_C_N[0], core.nll_nats_S_C_N[0], core.n_tokens_N)
    assert np.allclose(pool_points([one]).sample_cov_B_B, alone.sample_cov_B_B, atol=1e-15)


def test_a_recommendation_by_hand_at_the_edge_of_the_grid():
    slow = configuration({RATE: 1e-4}, [0.50, 0.70, 0.80], [0.30, 0.28, 0.27])
    fast = configuration({RATE: 1e-3}, [0.70, 0.90, 0.90], [0.26, 0.45, 0.60])
    family = make_family([slow, fast], 1.10)
    # Allowed: NLL up to 0.26 + ln 1.1 = 0.355, so all but the last two. The most accurate of these: 0.80.
    # Its lead of 0.10 over the next is beyond one standard error, sqrt(0.1 * 0.9 / 199) = 0.021.
    assert family.recommended.label == "learning_rate=0.0001, epoch 3"
    assert family.alternatives == {
        "lowest_perplexity": "learning_rate=0.001, epoch 1",
        "highest_accuracy": "learning_rate=0.001, epoch 2",
    }
    assert "accuracy -10.0 points" in family.alternative_costs["lowest_perplexity"]
    point = family.point("learning_rate=0.001, epoch 3")
    assert point.perplexity_ratio == pytest.approx(math.exp(0.60 - 0.26))
    edges = {(edge.key, edge.upward): (edge.steps, edge.stage) for edge in family.recommended.edges}
    assert edges[RATE, False] == (0, None) and edges["epoch", True] == (0, None)
    assert edges["epoch", False] == (1, "learning") and edges[RATE, True] == (1, "over-memorized")
    said = edges_text(family.recommended.edges)
    assert "down in learning rate the grid ends here" in said
    assert "1 step up in learning rate is over-memorized" in said


def test_within_one_standard_error_the_lowest_nll_wins():
    one = configuration({RATE: 1e-4}, [0.50, 0.800, 0.805], [0.30, 0.25, 0.30])
    # A lead of one problem in 200 has a standard error of one problem in 200.
    assert make_family([one], 1.10).recommended.label == "learning_rate=0.0001, epoch 2"


def test_a_configuration_that_diverged_does_not_stop_the_others_being_compared():
    calm = configuration({RATE: 1e-4}, [0.5, 0.8], [0.3, 0.25])
    wild = configuration({RATE: 1.0}, [0.0, 0.0], [900.0, 950.0])
    family = make_family([calm, wild], 1.10)
    assert family.recommended.label == "learning_rate=0.0001, epoch 2"
    assert family.point("learning_rate=1.0, epoch 2").perplexity_ratio == math.inf


def test_too_few_problems_recommend_nothing():
    few = configuration({RATE: 1e-4}, [0.5, 0.8], [0.3, 0.2], n=20)
    family = make_family([few], 1.10)
    assert family.recommended is None and "at least 30" in family.reason and len(family.points) == 2


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


def test_the_table_has_a_row_a_point():
    table = points_table([make_family(learning_rates(), 1.10)])
    assert table.shape[0] == 18 and table["configuration"].n_unique() == 3
    first = table.row(0, named=True)
    assert first[RATE] == 1e-4 and first["epoch"] == 1.0 and first["accuracy"] == pytest.approx(0.295)


# What people see.


class Cells(HTMLParser):
    """Collects the body cells of heat tables, and complains about tags that do not nest."""

    def __init__(self):
        super().__init__()
        self.open, self.found = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in {"meta", "br", "link", "img", "input"}:
            self.open.append(tag)
        if tag == "td" and "--v" in (dict(attrs).get("style") or ""):
            self.found.append(dict(attrs)["class"].split())

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_outlines_the_over_memorized_region_and_shows_hostile_text_as_text():
    made = result(learning_rates())
    page = render_sweep_report(made.to_dict(), title="run <i>")
    parser = Cells()
    parser.feed(page)
    assert parser.open == [] and len(parser.found) == 2 * 18
    assert "<b>bold</b>" not in page and "NaN &lt;b&gt;bold" in page and "run &lt;i&gt;" in page
    family = made.to_dict()["families"][0]
    likely = {(p["group"], p["epoch"]): p["leaning"] or p["stage"] for p in family["points"]}
    inside = {place for place, stage in likely.items() if stage == "over-memorized"}
    assert inside
    heat = heat_tables(family)[0]
    groups = [group["name"] for group in family["groups"]]
    # An edge lies between a cell inside and its neighbour outside, and nowhere else.
    for i, row in enumerate(heat["rows"]):
        for j, cell in enumerate(row["cells"]):
            at = {"top": (i - 1, j), "bottom": (i + 1, j), "left": (i, j - 1), "right": (i, j + 1)}
            names = {
                side: (groups[a], float(b + 1)) if 0 <= a < len(groups) else None
                for side, (a, b) in at.items()
            }
            expected = {f"edge-{side}" for side, name in names.items() if name not in inside}
            here = (groups[i], float(j + 1)) in inside
            assert set(cell["edges"].split()) == (expected if here else set()), (i, j)
    links = re.findall(r'<a href="([^"]+)"', page)
    assert "learning_rate%3D0.0001%2Bseed%3D0/overmem/report.html" in links
    data = json.loads(re.search(r'id="figure-data">(.*?)</script>', page, re.S)[1])
    [trace] = data["figures"]["onset-0"]["base"]
    onsets = [g["onset_epoch"] for g in family["groups"] if g["onset_epoch"] is not None]
    assert trace["y"] == onsets and trace["x"] == [4e-4, 8e-4]
    assert page.count("recommended") >= 2


def test_a_confirmed_sweep_says_its_figures_and_asks_for_no_other_confirmation():
    found = result(learning_rates(), confirm="test.jsonl")
    unconfirmed = " ".join(sweep_words(found))
    assert "--confirm" in unconfirmed and "test.jsonl" not in unconfirmed
    [family] = found.families
    figures = {"accuracy": Estimate(0.7, 0.6, 0.8, 90), "perplexity": Estimate(1.5, 1.4, 1.6, 90)}
    # The naive picks are the recommended point, so that there is nothing to compare it with.
    family = dataclasses.replace(family, confirmed_figures={family.recommended.label: figures})
    words = " ".join(sweep_words(dataclasses.replace(found, families=(family,))))
    assert "(test.jsonl): accuracy 70.0% (60.0 to 80.0), perplexity 1.50 (1.40 to 1.60)." in words
    assert "--confirm" not in words


def test_the_terminal_keeps_to_80_columns():
    console = Console(width=80, record=True, force_terminal=False)
    render_sweep(result(learning_rates()), console)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= 80
    assert re.search(r"learning rate +best at", text) and "failed" in text
    assert "chose the recommended point" in " ".join(text.split())


LIGHT = """
import sys
import overmem.sweeping.page.html, overmem.cli.views.sweep
import overmem.sweeping.summary, overmem.sweeping.gather
print(sorted({"torch", "transformers", "trl", "datasets"} & set(sys.modules)))
"""


def test_what_a_sweep_says_needs_no_torch():
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
