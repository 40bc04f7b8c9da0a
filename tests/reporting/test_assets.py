"""The report in a real browser: it draws, switches, downloads and prints, asks for nothing, runs nothing."""

import csv
import io
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import overmem
from tests.helpers.browser import SCREENS, Browser, find_chromium
from tests.helpers.synthetic import END, plain_text, write_run

pytestmark = pytest.mark.skipif(
    find_chromium() is None, reason="no Chromium on this machine (apt-get install chromium, or set $CHROMIUM)"
)

EVIL = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
HOSTILE = (
    f"{EVIL} </script> \"double\" 'single' `back` & &amp; ",
    "‮right to left‬ שלום עולם مرحبا بالعالم",
    "🎉👩‍👩‍👧‍👦 é ﷽ \t tab",
    "{{ 7 * 7 }} {% raw %} ${1} %{x} javascript:alert(1)",
)
EXHIBITS = ("reliability-tokens", "reliability-answers", "pass-at-k", "membership-roc", "excess-nll")


def hostile_text(i: int) -> tuple[str, str]:
    prompt, completion = plain_text(i)
    return f"{HOSTILE[i % 4]}\n{prompt}", f" {HOSTILE[(i + 1) % 4]}{completion}"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_run(tmp_path_factory.mktemp("page") / "run")
    overmem.diagnose(folder)
    return overmem.report(folder)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = [f"checkpoint-{100 * (c + 1)}" for c in range(6)]
    names[2], names[5] = "checkpoint-300 <b onmouseover=alert(1)>\"'&", "checkpoint-600 🎉‮שלום"
    folder = write_run(tmp_path_factory.mktemp("page") / "run <i>&'", text=hostile_text, names=names)
    overmem.diagnose(folder)
    return overmem.report(folder)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as running:
        yield running


def show(browser: Browser, figure: str) -> None:
    """Scroll to a figure and wait until it is drawn."""
    browser.js(f"document.querySelector('[data-figure=\"{figure}\"]').scrollIntoView({{block: 'center'}})")
    browser.wait_for(f"!!document.querySelector('[data-figure=\"{figure}\"] .main-svg')")


def hover(browser: Browser, figure: str) -> str:
    """Put the mouse on the first point of a figure; what is then shown."""
    browser.wait_for(f"!!document.querySelector('[data-figure=\"{figure}\"] .points path')")
    x, y = browser.js(f"""(e => [e.x + e.width / 2, e.y + e.height / 2])
        (document.querySelector('[data-figure="{figure}"] .points path').getBoundingClientRect())""")
    browser.move(x - 20, y - 20)
    browser.move(x, y)
    browser.wait_for(f"!!document.querySelector('[data-figure=\"{figure}\"] .hovertext')", 10)
    return str(browser.js(f"document.querySelector('[data-figure=\"{figure}\"] .hoverlayer').textContent"))


def choose(browser: Browser, place: str, value: str) -> None:
    browser.js(
        f"(s => {{ s.value = '{value}'; s.dispatchEvent(new Event('change', {{bubbles: true}})) }})"
        f"(document.getElementById('choose-{place}'))"
    )


def path_data(browser: Browser, figure: str) -> str:
    script = f"""[...document.querySelectorAll('[data-figure="{figure}"] .cartesianlayer path')]
        .map(p => p.getAttribute('d') + p.getAttribute('style')).join()"""
    return str(browser.js(script))


def test_it_opens_draws_everything_and_asks_for_nothing(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert browser.js("document.title").startswith("over-memorized")
    browser.wait_for("!!document.querySelector('#dynamics .main-svg')")
    for figure in EXHIBITS:
        show(browser, figure)
        assert (
            browser.js(f"document.querySelectorAll('[data-figure=\"{figure}\"] .cartesianlayer path').length")
            > 1
        )
    assert browser.js("document.querySelector('.choose').hidden") is False
    assert browser.complaints() == []
    assert browser.requests() == []


def test_hovering_shows_the_figures_behind_a_point(browser: Browser, page: Path) -> None:
    browser.open(page)
    show(browser, "pass-at-k")
    said = hover(browser, "pass-at-k")
    assert "pass@1" in said and "95% interval" in said and "n = 60" in said


def test_switching_checkpoints_changes_figures_captions_and_tokens(browser: Browser, page: Path) -> None:
    browser.open(page)
    for figure in EXHIBITS:
        show(browser, figure)
        before = path_data(browser, figure)
        choose(browser, "first", "1")  # the last beside itself: shown once
        browser.wait_for(f"document.querySelectorAll('#{figure}-said li:not([hidden])').length === 1", 10)
        assert path_data(browser, figure) != before
        assert browser.js("document.querySelectorAll('.pair:not([hidden])').length") == 0
        assert browser.js("document.querySelector('.readings').children[0].hidden") is True
        choose(browser, "first", "0")
        browser.wait_for(f"document.querySelectorAll('#{figure}-said li:not([hidden])').length === 2", 10)
        assert path_data(browser, figure) == before
    assert browser.js("document.querySelectorAll('.pair:not([hidden])').length") > 2
    assert browser.complaints() == [] and browser.requests() == []


def test_the_choice_works_from_the_keyboard(browser: Browser, page: Path) -> None:
    browser.open(page)
    show(browser, "membership-roc")
    browser.js("document.getElementById('choose-first').focus()")
    browser.press("ArrowDown", 40)
    browser.wait_for("document.getElementById('choose-first').value === '1'", 10)
    browser.wait_for("document.querySelectorAll('#membership-roc-said li:not([hidden])').length === 1", 10)
    focusable = browser.js("""[...document.querySelectorAll('.scroll, pre, a.csv, summary, select')]
        .every(e => e.tabIndex >= 0)""")
    assert focusable


def test_a_csv_is_saved_under_the_figures_name_and_reads_back(browser: Browser, page: Path) -> None:
    browser.open(page)
    links = browser.js("[...document.querySelectorAll('a.csv')].map(a => a.download)")
    assert {f"overmem-run-{name}.csv" for name in (*EXHIBITS, "dynamics", "tokens", "verbatim")} <= set(links)
    browser.js("document.querySelector('a[download$=\"pass-at-k.csv\"]').click()")
    saved = browser.downloads / "overmem-run-pass-at-k.csv"
    end = time.monotonic() + 20
    while not (saved.is_file() and saved.stat().st_size) and time.monotonic() < end:
        browser.wait_for("true")
        time.sleep(0.05)
    rows = list(csv.DictReader(io.StringIO(saved.read_text(encoding="utf-8"))))
    assert {row["checkpoint"] for row in rows} == {"checkpoint-300", "checkpoint-600"}
    assert all(0 <= float(row["low_95"] or 0) <= float(row["pass_at_k"]) <= 1 for row in rows)
    assert browser.complaints() == [] and browser.requests() == []


@pytest.mark.parametrize(("width", "dark"), SCREENS)
def test_nothing_overflows_at_any_width(page: Path, width: int, dark: bool) -> None:
    with Browser(width=width, height=844, dark=dark) as small:
        small.open(page)
        for figure in EXHIBITS:
            show(small, figure)
        assert small.js("document.documentElement.scrollWidth") <= width
        cut = small.js("""(right => [...document.querySelectorAll('.main-svg')].filter(e =>
            right(e) > right(e.closest('.drawing')) + 1).length)(e => e.getBoundingClientRect().right)""")
        assert cut == 0
        assert small.complaints() == []


def test_printing_draws_all_figures_in_light_colours(page: Path, tmp_path: Path) -> None:
    with Browser(dark=True) as reader:
        reader.open(page)
        reader.js("window.atPrint = 0; addEventListener('afterprint', () => { window.atPrint += 1 })")
        printed = reader.pdf(tmp_path / "report.pdf").read_bytes()
        assert printed.startswith(b"%PDF") and len(printed) > 100_000
        drawn = reader.js(
            "[...document.querySelectorAll('[data-figure]')].map(b => !!b.querySelector('.main-svg'))"
        )
        assert all(drawn) and reader.js("window.atPrint") == 1
        assert reader.complaints() == [] and reader.requests() == []


def test_without_scripts_the_words_and_tables_are_there(page: Path) -> None:
    with Browser() as still:
        still.send("Emulation.setScriptExecutionDisabled", value=True)
        still.open(page)
        text = still.js("document.body.innerText")
        assert "Over-memorized" in text and "checkpoint-300" in text and "AUROC" in text
        assert still.js("getComputedStyle(document.querySelector('.choose')).display") == "none"


def test_hostile_text_is_shown_and_never_runs(browser: Browser, hostile: Path) -> None:
    browser.open(hostile)
    for figure in EXHIBITS:
        show(browser, figure)
    choose(browser, "first", "1")
    choose(browser, "second", "0")
    assert browser.js("document.title").startswith("over-memorized")
    assert browser.js("document.querySelectorAll('script').length") == 7
    assert browser.js("document.querySelectorAll('img, iframe, object, b[onmouseover]').length") == 0
    assert browser.js("document.querySelector('h1').textContent") == "run <i>&'"
    for box in ("val", "train"):
        browser.js(f"document.querySelector('[data-list={box}]').scrollIntoView()")
        browser.wait_for(f"document.querySelectorAll('[data-list={box}] summary').length > 4", 20)
        browser.js(
            f"document.querySelectorAll('[data-list={box}] details').forEach(d => {{ d.open = true }})"
        )
        browser.wait_for(f"document.querySelectorAll('[data-list={box}] .body').length > 4", 20)
    assert browser.js("document.querySelectorAll('img, iframe, object, b[onmouseover]').length") == 0
    text = browser.js("document.body.textContent")
    shown = [part for part in HOSTILE if part in text]
    assert len(shown) == 4, [part for part in HOSTILE if part not in text]
    tokens = browser.js("[...document.querySelectorAll('.tokens')].map(p => p.textContent)")
    completions = {completion + END for _, completion in map(hostile_text, range(60))}
    assert tokens and set(tokens) <= completions
    names = browser.js("document.querySelector('.choose').textContent")
    assert "checkpoint-600 🎉\\u202e" in names and "\u202e" not in names
    assert browser.complaints() == [] and browser.requests() == []


def test_hovering_over_hostile_names_runs_nothing(browser: Browser, hostile: Path) -> None:
    browser.open(hostile)
    show(browser, "reliability-tokens")
    said = hover(browser, "reliability-tokens")
    assert "<b onmouseover=alert(1)>" in said
    assert browser.complaints() == [] and browser.requests() == []
