"""The page of a sweep: its heatmaps and its text.

Covers: overmem.sweeping.page.figure
"""

import json
import re
from html.parser import HTMLParser

from overmem.sweeping.page.html import render_sweep_report
from overmem.sweeping.page.view import heat_tables
from tests.helpers.sweeps import learning_rates, result


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
    page = render_sweep_report(made, title="run <i>")
    parser = Cells()
    parser.feed(page)
    assert parser.open == [] and len(parser.found) == 2 * 18
    assert "<b>bold</b>" not in page and "NaN &lt;b&gt;bold" in page and "run &lt;i&gt;" in page
    family = made.families[0]
    likely = {(point.group, point.epoch): point.likely for point in family.points}
    inside = {place for place, stage in likely.items() if stage == "over-memorized"}
    assert inside
    heat = heat_tables(family)[0]
    groups = [group.name for group in family.groups]
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
    onsets = [group.onset_epoch for group in family.groups if group.onset_epoch is not None]
    assert trace["y"] == onsets and trace["x"] == [4e-4, 8e-4]
    assert page.count("recommended") >= 2
