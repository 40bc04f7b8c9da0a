"""The page of a sweep in a real browser: it draws, fits, asks for nothing, and works without scripts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from overmem.sweeping.page.html import write_sweep_report
from tests.helpers.browser import SCREENS, Browser, find_chromium
from tests.helpers.sweeps import learning_rates, result

pytestmark = pytest.mark.skipif(
    find_chromium() is None, reason="no Chromium on this machine (apt-get install chromium, or set $CHROMIUM)"
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sweep") / "report.html"
    return write_sweep_report(result(learning_rates()), out, title="rates <i>")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as running:
        yield running


def draw_onset(browser: Browser) -> None:
    browser.js("document.querySelector('[data-figure]').scrollIntoView({block: 'center'})")
    browser.wait_for("!!document.querySelector('[data-figure=\"onset-0\"] .main-svg')")


def test_it_opens_draws_and_asks_for_nothing(browser: Browser, page: Path) -> None:
    browser.open(page)
    draw_onset(browser)
    # Two rates have an onset: two points, each with its interval.
    assert browser.js("document.querySelectorAll('[data-figure] .points path').length") == 2
    assert browser.js("document.querySelectorAll('[data-figure] .errorbar').length") == 2
    assert browser.js("document.querySelectorAll('.heat td[style]').length") == 36
    assert browser.js("document.querySelector('h1').textContent") == "rates <i>"
    assert browser.complaints() == [] and browser.requests() == []


def test_the_outline_is_drawn_around_the_region(browser: Browser, page: Path) -> None:
    browser.open(page)
    edges = browser.js("""[...document.querySelectorAll('.heat.accuracy .edge-left')]
        .map(e => getComputedStyle(e).borderLeftWidth)""")
    assert edges and set(edges) == {"3px"}


@pytest.mark.parametrize(("width", "dark"), SCREENS)
def test_nothing_overflows_at_any_width(page: Path, width: int, dark: bool) -> None:
    with Browser(width=width, height=844, dark=dark) as small:
        small.open(page)
        draw_onset(small)
        assert small.js("document.documentElement.scrollWidth") <= width
        # Wide tables scroll within their box, from the keyboard too.
        assert small.js("[...document.querySelectorAll('.scroll, pre')].every(e => e.tabIndex >= 0)")
        assert small.complaints() == []


def test_without_scripts_the_heatmaps_and_words_are_there(page: Path) -> None:
    with Browser() as still:
        still.send("Emulation.setScriptExecutionDisabled", value=True)
        still.open(page)
        text = still.js("document.body.innerText")
        assert "over-memorized region" in text and "Margin to the edge" in text and "73.5%" in text
