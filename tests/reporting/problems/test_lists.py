"""The lists, as Python offers them and as a reader uses them: search, filter, compare, link, keyboard."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import overmem
from overmem.records import Verdict
from overmem.reporting.problems.lists import first_pair, training_part, val_part
from overmem.reporting.problems.training_rows import TrainingRows
from overmem.reporting.problems.val_problems import ValProblems
from tests.helpers.axe import find_axe
from tests.helpers.browser import Browser, find_chromium
from tests.helpers.synthetic import plain_text, write_run
from tests.helpers.verdicts import make_verdict

in_browser = pytest.mark.skipif(
    find_chromium() is None, reason="no Chromium on this machine (apt-get install chromium, or set $CHROMIUM)"
)
EVIL = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"> "
VAL, TRAIN = "[data-list=val]", "[data-list=train]"


def problem(i: int) -> tuple[str, str]:
    prompt, completion = plain_text(i)
    return (EVIL if i == 3 else "") + prompt, completion


def answer(i: int, done: float, right: bool) -> str:
    """The reference at first, other words later."""
    _, completion = plain_text(i)
    return (
        completion if done < 0.5 else completion.replace("so she has", "therefore Ida owns" + EVIL * (i == 3))
    )


def names() -> list[str]:
    return [f"checkpoint-{100 * (c + 1)}" for c in range(6)]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_run(tmp_path_factory.mktemp("lists") / "run", text=problem, answer=answer, samples=2)
    overmem.diagnose(folder)
    return overmem.report(folder)


@pytest.fixture(scope="module")
def browser(page: Path) -> Iterator[Browser]:
    with Browser() as running:
        running.open(page)
        yield running


def reset(browser: Browser, box: str = VAL) -> None:
    """Bring a list near, unpacked, with nothing chosen."""
    browser.js(f"document.querySelector('{box}').scrollIntoView()")
    browser.wait_for(f"document.querySelector('{box} .found').textContent !== ''", 20)
    form = f"document.querySelector('{box} form')"
    browser.js(f"(f => {{ f.reset(); f.dispatchEvent(new Event('input')) }})({form})")


def choose(browser: Browser, field: str, value: str, box: str = VAL) -> None:
    browser.js(
        f"(e => {{ e.value = {value!r}; e.dispatchEvent(new Event('input', {{bubbles: true}})) }})"
        f"(document.querySelector('{box} form').elements[{field!r}])"
    )


def shown(browser: Browser, box: str = VAL) -> list[str]:
    """Ids of all rows that are found, the further ones asked for."""
    browser.js(f"(b => {{ while (!b.hidden) b.click() }})(document.querySelector('{box} .more'))")
    return list(browser.js(f"[...document.querySelectorAll('{box} .items .id')].map(e => e.textContent)"))


def expected(page: Path) -> dict[str, dict[str, Any]]:
    """Grades and NLLs of every val problem, from the rows."""
    import polars as pl

    found: dict[str, dict[str, Any]] = {}
    for name in names():
        rows = pl.read_parquet(page.parent / name / "generations.parquet").filter(pl.col("row_key") == "g")
        scores = pl.read_parquet(page.parent / name / "likelihood.parquet").filter(pl.col("split") == "val")
        nll = dict(scores.select("example_id", pl.col("nll_nats") / pl.col("n_tokens")).iter_rows())
        for example, correct in rows.select("example_id", "correct").iter_rows():
            found.setdefault(example, {})[name] = (correct, nll[example])
    return found


def test_the_pair_shown_first_is_what_one_would_ship_and_the_last() -> None:
    verdict: Verdict = make_verdict()
    found = [summary.name for summary in verdict.checkpoints]
    assert first_pair(["base model", *found], verdict) == (3, 6)
    assert first_pair(found, replace(verdict, recommended=None)) == (1, 5)
    lone = replace(verdict, recommended=None, alternatives={})
    assert first_pair(found, lone) == (0, 5) and first_pair(found[:1], lone) == (0, 0)


@in_browser
def test_filters_and_orders_are_those_of_the_rows(browser: Browser, page: Path) -> None:
    known = expected(page)
    reset(browser)
    assert shown(browser) == sorted(known) and len(known) == 60
    found = set()
    for first, second in ((3, 0), (0, 3)):
        choose(browser, "first", str(first))
        choose(browser, "second", str(second))
        a, b = names()[first], names()[second]
        for value, wanted in (("lost", (1, 0)), ("gained", (0, 1)), ("wrong", (0, 0)), ("right", (1, 1))):
            choose(browser, "show", value)
            ids = [i for i in sorted(known) if (known[i][a][0], known[i][b][0]) == wanted]
            assert shown(browser) == ids, value
            found |= {value} if ids else set()
            said = browser.js(f"document.querySelector('{VAL} .found').textContent")
            assert said == f"{len(ids)} of 60 val problems"
    assert {"lost", "gained", "wrong"} <= found
    choose(browser, "show", "all")
    for value, before in (("loss", 0.0), ("rise", 1.0)):
        choose(browser, "order", value)
        figures = [known[i][b][1] - before * known[i][a][1] for i in shown(browser)]
        assert len(figures) == 60
        assert all(x >= y - 2e-3 for x, y in pairwise(figures))  # figures in the page have three digits
    choose(browser, "show", "verbatim")
    assert shown(browser) == []
    choose(browser, "second", "0")
    assert len(shown(browser)) == 60
    assert browser.complaints() == [] and browser.requests() == []


@in_browser
def test_search_finds_words_of_any_text_in_any_order(browser: Browser) -> None:
    reset(browser)
    choose(browser, "search", "  PENS 12 finds ")
    ids = [f"val-{i:05d}" for i in range(60) if {"12"} & set(" ".join(problem(i)).replace(".", "").split())]
    assert set(ids) <= set(shown(browser)) and len(shown(browser)) < 60
    choose(browser, "search", "therefore")  # in answers only
    assert len(shown(browser)) == 60
    choose(browser, "search", "val-00007")
    assert shown(browser) == ["val-00007"]
    choose(browser, "search", "no such word")
    assert shown(browser) == []


@in_browser
def test_an_open_problem_marks_what_differs_and_runs_nothing(browser: Browser) -> None:
    reset(browser)
    choose(browser, "first", "0")
    choose(browser, "second", "5")
    choose(browser, "search", "val-00003")
    browser.js(f"document.querySelector('{VAL} summary').click()")
    browser.wait_for(f"document.querySelectorAll('{VAL} .pane').length === 3", 10)
    panes = browser.js(
        f"[...document.querySelectorAll('{VAL} .pane')].map(p => [p.querySelector('.solution').textContent,"
        "[...p.querySelectorAll('mark')].map(m => m.textContent.trim())])"
    )
    (reference, lost), (first, none), (second, gained) = panes
    assert reference == first == plain_text(3)[1].strip() and none == []
    assert lost == ["so she has"] and " ".join(gained) == f"therefore Ida owns{EVIL.strip()}"
    assert EVIL in second
    assert browser.js(f"document.querySelector('{VAL} .question').textContent").startswith(EVIL)
    course = browser.js(f"[...document.querySelectorAll('{VAL} .course li')].map(e => e.title)")
    assert [text.split(":")[0] for text in course] == names()
    assert browser.js("document.title").startswith("over-memorized")
    assert browser.js("document.querySelectorAll('main img').length") == 0
    assert browser.complaints() == [] and browser.requests() == []


@in_browser
def test_a_link_leads_to_its_row_whatever_is_chosen(page: Path) -> None:
    with Browser(height=700) as fresh:
        fresh.open(page)
        for hash, box in (("problem-val-00047", VAL), ("row-train-00009", TRAIN), ("problem-val-00002", VAL)):
            fresh.js(f"location.hash = '{hash}'")
            fresh.wait_for(f"!!document.getElementById('{hash}')", 20)
            fresh.wait_for(f"document.activeElement === document.querySelector('#{hash} summary')", 20)
            top = fresh.js(f"document.getElementById('{hash}').getBoundingClientRect().top")
            assert 0 <= top < 700 and fresh.js(f"document.querySelector('#{hash} details').open")
            link = fresh.js(f"document.querySelector('#{hash} .counts a').getAttribute('href')")
            assert link == f"#{hash}"
            choose(fresh, "search", "nothing at all", box)
        fresh.js("location.hash = 'problem-no-such'")
        fresh.js("location.hash = 'problem-%E0%A4%A'")
        assert fresh.complaints() == [] and fresh.requests() == []


@in_browser
def test_rows_are_walked_and_opened_from_the_keyboard(browser: Browser) -> None:
    reset(browser)
    at = f"[...document.querySelectorAll('{VAL} summary')].indexOf(document.activeElement)"
    browser.js(f"document.querySelector('{VAL} summary').focus()")
    for _ in range(16):  # more than are shown at first
        browser.press("ArrowDown", 40)
    browser.wait_for(f"{at} === 16", 10)
    browser.press("ArrowUp", 38)
    browser.wait_for(f"{at} === 15", 10)
    for kind in ("rawKeyDown", "char", "keyUp"):
        browser.send("Input.dispatchKeyEvent", type=kind, key="Enter", text="\r", windowsVirtualKeyCode=13)
    browser.wait_for(f"document.querySelectorAll('{VAL} details')[15].open", 10)


@in_browser
def test_the_contents_mark_where_one_reads(browser: Browser) -> None:
    now = "document.querySelector('.contents [aria-current]').textContent"
    for anchor, label in (("training", "Training rows"), ("method", "Method"), ("answer", "Answer")):
        browser.js(f"document.querySelector('.contents a[href=\"#{anchor}\"]').click()")
        browser.wait_for(f"{now} === '{label}'", 10)
    assert browser.js("document.querySelectorAll('.contents [aria-current]').length") == 1


@in_browser
@pytest.mark.slow
@pytest.mark.skipif(find_axe() is None, reason="no axe (pip install axe-core-python, or set $AXE)")
@pytest.mark.parametrize(
    ("width", "height", "scheme"),
    [
        (1280, 800, "light"),
        pytest.param(1280, 800, "dark", marks=pytest.mark.exhaustive),
        (390, 844, "dark"),
    ],
)
def test_axe_finds_nothing_serious(browser: Browser, width: int, height: int, scheme: str) -> None:
    browser.resize(width, height)
    browser.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    for box in (VAL, TRAIN):
        reset(browser, box)
        browser.js(f"document.querySelector('{box} details').open = true")
        browser.wait_for(f"!!document.querySelector('{box} .body')", 10)
    source = find_axe()
    assert source is not None
    browser.js(source.read_text(encoding="utf-8") + ";0")
    ran = browser.send(
        "Runtime.evaluate",
        wait=200,
        returnByValue=True,
        awaitPromise=True,
        expression="axe.run({exclude: ['.drawing']}, {resultTypes: ['violations']}).then(r => "
        "[r.passes.length, r.violations.map(v => [v.impact, v.id, v.nodes.map(n => n.html.slice(0, 200))])])",
    )
    passes, found = ran["result"]["value"]
    assert passes > 20
    assert [item for item in found if item[0] in ("serious", "critical")] == []


def test_a_reader_may_choose_only_what_the_rows_can_tell() -> None:
    def offered(part: dict[str, Any]) -> tuple[set[str], list[str]]:
        return {key for key, _ in part["shows"]}, [key for key, _ in part["orders"]]

    verdict = make_verdict()
    bare = ValProblems(
        n=1, n_left_out=0, grouped=False, graded=False, models=("a", "b"), longest=None, packed=""
    )
    assert offered(val_part(bare, verdict)) == ({"all", "verbatim"}, ["file", "loss", "rise"])
    full = replace(bare, graded=True, n_left_out=2)
    graded = {"lost", "gained", "wrong", "right"}
    assert offered(val_part(full, verdict))[0] == {"all", "verbatim", "out"} | graded
    rows = TrainingRows(
        n=1, n_measured=1, ranked=False, continued=True, models=("a", "b"), longest=None, unsplit=0, packed=""
    )
    assert offered(training_part(rows, verdict)) == ({"all", "verbatim", "became"}, ["file"])
    ranked = offered(training_part(replace(rows, ranked=True), verdict))
    assert ranked == ({"all", "memorized", "verbatim", "became"}, ["file", "loss"])
