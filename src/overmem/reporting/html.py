"""The report: one HTML file that opens anywhere, offline, from a verdict record.

plotly.js is inlined and a content security policy forbids every request and every script but the two
written here, so a hostile checkpoint name can neither run nor call home even if escaping failed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from overmem.diagnosis.spoken import DASH, TIMES, accuracy_text, confidence_text, figure_text
from overmem.diagnosis.words import INFLATED, cost_text, missing_text, why_text
from overmem.errors import ArtifactError
from overmem.records import VERDICT_SCHEMA, Attempt, Cost, none_to_nan
from overmem.repairing.words import how_made
from overmem.reporting.curves import estimate_of
from overmem.reporting.figures import figure_variants
from overmem.reporting.palette import STAGE_CODES
from overmem.reporting.tables import difference_text, number_text
from overmem.store import write_text_atomic

Record = Mapping[str, Any]

_FACTS_SHOWN = 80
_FACT_LENGTH = 160
_LIST_SHOWN = 12
_GLOSS = {
    "learning": "Accuracy is still rising to its peak.",
    "fit": "Accuracy is at its best and perplexity is not inflated.",
    "over-memorized": "Accuracy holds, but perplexity is inflated.",
    "overfit": "Accuracy has fallen and perplexity is inflated.",
    "unstable": "Accuracy has fallen, though perplexity is not inflated.",
}
_SAY: dict[str, Callable[..., str]] = {"accuracy": accuracy_text, "perplexity": figure_text}
_FINGERPRINT = re.compile(r"(sha256:)?[0-9a-f]{40,}")

_DRAW_SCRIPT = """
(function () {
  var box = document.getElementById('dynamics');
  var variants = JSON.parse(document.getElementById('figure-data').textContent);
  var dark = window.matchMedia('(prefers-color-scheme: dark)');
  var shown = null, printing = false;
  function draw() {
    var width = printing ? 680 : box.clientWidth;
    var name = (dark.matches && !printing ? 'dark' : 'light') + (width < 840 ? '-compact' : '-wide');
    if (name + width === shown) { return; }
    shown = name + width;
    var figure = variants[name];
    figure.layout.width = width;
    Plotly.react(box, figure.data, figure.layout, {displayModeBar: false});
  }
  function print(starts) { return function () { printing = starts; draw(); }; }
  draw();
  dark.addEventListener('change', draw);
  new ResizeObserver(draw).observe(box);
  window.addEventListener('beforeprint', print(true));
  window.addEventListener('afterprint', print(false));
})();
"""


def write_report(
    verdict_record: Record,
    out: Path,
    *,
    manifest: Record | None = None,
    repair: Record | None = None,
    title: str,
) -> Path:
    """Write the self-contained HTML report of one verdict.

    The file is written whole or not at all: under a temporary name in the same folder, then moved.

    Args:
        verdict_record: the parsed `verdict.json`, schema `overmem.verdict/1`.
        out: the HTML file; its folder is made when missing.
        manifest: the parsed `manifest.json`, for how it was measured; None leaves that part out.
        repair: the parsed `repair.json`; likewise.
        title: heading of the page, usually the run's name.

    Returns:
        `out`.

    Raises:
        ArtifactError: when the record is not a verdict of this schema.
    """
    page = render_report(verdict_record, manifest=manifest, repair=repair, title=title)
    out = Path(out)
    write_text_atomic(out, page)
    return out


def render_report(
    verdict_record: Record, *, manifest: Record | None = None, repair: Record | None = None, title: str
) -> str:
    """The report as a string; see `write_report`."""
    _check_schema(verdict_record)
    scripts = {"plotly": _plotly_js(), "draw": _DRAW_SCRIPT} if verdict_record["checkpoints"] else {}
    template = _environment().from_string(
        resources.files(__package__).joinpath("template.html").read_text(encoding="utf-8")
    )
    chosen = verdict_record["recommended"]
    figures = figure_variants(verdict_record) if scripts else {}
    return template.render(
        title=title,
        verdict=verdict_record,
        why=why_text(chosen["name"], chosen["why"]) if chosen else "",
        missing=missing_text(verdict_record.get("reason")),
        headline=_headline(verdict_record),
        tiles=_tiles(verdict_record),
        rows=[_row(verdict_record, record) for record in verdict_record["checkpoints"]],
        has_train=any(record.get("train_nll_nats") for record in verdict_record["checkpoints"]),
        choices=_choices(verdict_record),
        costs=_by_reference(verdict_record.get("costs") or ()),
        repair=None if repair is None else _repair(repair),
        thresholds=[(_spaced(key), value) for key, value in (verdict_record.get("thresholds") or {}).items()],
        facts=_facts(manifest),
        stages=_stages_present(verdict_record),
        figure_label=_figure_label(verdict_record),
        figure_json=_safe_json(figures),
        scripts={name: Markup(source) for name, source in scripts.items()},
        script_policy=" ".join(_script_hash(source) for source in scripts.values()) or "'none'",
    )


def _environment() -> Environment:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["said"] = _said
    return environment


def _said(text: Any) -> Markup:
    """A sentence of the record as HTML: escaped, its `backticks` as code, its first letter upper case."""
    text = str(text)
    if text.partition(" ")[0].isalpha():  # a name such as checkpoint-300 stays as it is
        text = text[:1].upper() + text[1:]
    parts = [escape(part) for part in text.split("`")]
    marked = [Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts)]
    return Markup("").join(marked)


def _check_schema(record: Record) -> None:
    found = record.get("schema") if isinstance(record, Mapping) else type(record).__name__
    if found != VERDICT_SCHEMA:
        raise ArtifactError(
            "this is not a verdict that the report can show",
            got=f"schema {found!r}",
            expected=f"schema {VERDICT_SCHEMA!r}",
            next_step="run `overmem diagnose` again to rewrite verdict.json",
        )
    missing = [key for key in ("stage", "checkpoints", "recommended") if key not in record]
    if missing:
        raise ArtifactError(
            "verdict.json is incomplete",
            got=f"no {', '.join(missing)}",
            expected="stage, checkpoints and recommended",
            next_step="run `overmem diagnose` again to rewrite verdict.json",
        )


# Scripts and data.


def _plotly_js() -> str:
    from plotly.offline import get_plotlyjs

    # The parser turns \r into \n before the hash of the policy is checked.
    return str(get_plotlyjs()).replace("\r\n", "\n").replace("\r", "\n")


def _script_hash(source: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


def _safe_json(value: Any) -> Markup:
    """JSON that cannot close its script element or be read as HTML."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character, code in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(character, code)
    return Markup(text)


# What the template shows.


def _slug(stage: str | None) -> str:
    return stage if stage in STAGE_CODES else "undetermined"


def _headline(verdict: Record) -> Record:
    stage, last = verdict["stage"], (verdict["checkpoints"] or [{}])[-1]
    leaning, logged = last.get("leaning"), verdict.get("evidence") == "logged"
    sure = confidence_text(verdict.get("confidence"))
    if stage != "undetermined":
        name, detail = stage, f"{sure} confidence. {_GLOSS.get(stage, '')}"
    elif leaning and logged:
        name, detail = "undetermined", f"read from the training log alone; leans {leaning}"
    elif leaning and verdict["recommended"]:
        name, detail = (
            "undetermined",
            f"leans {leaning}, {confidence_text(last.get('confidence'))} confidence",
        )
    elif logged:
        name, detail = "undetermined", "read from the training log alone"
    else:
        name, detail = "insufficient evidence", "no stage can be given"
    return {"stage": name, "slug": _slug(stage), "detail": detail, "last": last.get("name")}


def _tiles(verdict: Record) -> list[tuple[str, str, list[str]]]:
    """The figures to see first: (label, value, lines of context)."""
    if not verdict["checkpoints"]:
        return []
    last, tiles = verdict["checkpoints"][-1], []
    onset, limit = verdict.get("onset") or {}, (verdict.get("thresholds") or {}).get("perplexity_ratio")
    if onset.get("step") is not None:
        low, high = onset.get("low"), onset.get("high")
        interval = f"95% interval {low} to {high}" if low is not None and high is not None else "no interval"
        sure = verdict["stage"] in INFLATED
        tiles.append(("Since step" if sure else "If so, since step", f"{onset['step']}", [interval]))
    tiles.append(("Accuracy, last checkpoint", *_tile(verdict, last, "accuracy")))
    tiles.append(("Perplexity, last checkpoint", *_tile(verdict, last, "perplexity")))
    ratio = (verdict.get("severity") or {}).get("perplexity_ratio")
    if ratio is not None:
        rule = [f"{limit:.2f} counts as inflated"] if limit is not None else []
        tiles.append(("Perplexity over the lowest", f"{TIMES}{ratio:.2f}", rule))
    return tiles


def _tile(verdict: Record, last: Record, key: str) -> tuple[str, list[str]]:
    """A figure of the last checkpoint, with the recommended one's beside it."""
    estimate = estimate_of(last.get(key))
    value, interval = _parts(_SAY[key](estimate, dash=DASH))
    context = [f"95% interval {interval}"] if interval else [estimate.reason] if estimate.reason else []
    chosen = (verdict.get("recommended") or {}).get("name")
    for record in verdict["checkpoints"][:-1]:
        if record["name"] == chosen:
            context.append(f"{_parts(_SAY[key](estimate_of(record.get(key))))[0]} at {chosen}")
    return value, context


def _row(verdict: Record, record: Record) -> Record:
    recommended = (verdict.get("recommended") or {}).get("name")
    alternatives = verdict.get("alternatives") or {}
    tags = ["ship"] if record["name"] == recommended else []
    tags += [
        _spaced(key)
        for key in ("lowest_perplexity", "highest_accuracy")
        if alternatives.get(key) == record["name"]
    ]
    figures = {key: _parts(say(estimate_of(record.get(key)), dash=DASH)) for key, say in _SAY.items()}
    figures["nll"] = _parts(figure_text(estimate_of(record.get("nll_nats")), 3, DASH))
    figures["train"] = _parts(figure_text(estimate_of(record.get("train_nll_nats")), 3, DASH))
    reasons = {estimate_of(record.get(key)).reason for key in ("accuracy", "nll_nats")} - {None}
    return {
        "name": record["name"],
        "step": record["step"],
        "epoch": record.get("epoch"),
        "stage": record["stage"],
        "slug": _slug(record["stage"]),
        "leaning": record.get("leaning"),
        "settle": record.get("problems_to_settle"),
        "confidence": confidence_text(record.get("confidence")),
        "figures": figures,
        "tags": tags,
        "reason": "; ".join(sorted(str(reason) for reason in reasons)),
        "chosen": record["name"] == recommended,
    }


def _parts(text: str) -> tuple[str, str]:
    value, _, interval = text.partition(" ")
    return value, interval.strip("()")


def _choices(verdict: Record) -> list[tuple[str, str, str]]:
    """What each naive choice picks and costs: (rule, checkpoint, cost)."""
    recommended = (verdict.get("recommended") or {}).get("name")
    costs, choices = verdict.get("alternative_costs") or {}, []
    for key, name in (verdict.get("alternatives") or {}).items():
        if name is None:
            cost = "it could not be picked: the measure is undefined"
        elif name == recommended:
            cost = "nothing: it is the recommended checkpoint"
        else:
            cost = cost_text(costs.get(key) or "not known: the record gives no cost", name, recommended)
        choices.append((_spaced(key), name or "none", cost))
    return choices


def _by_reference(records: Sequence[Record]) -> list[tuple[str, list[Record]]]:
    """Differences by what they are taken against, in the order of the record."""
    against = dict.fromkeys(record["against"] for record in records)
    return [(name, [_cost(r) for r in records if r["against"] == name]) for name in against]


def _repair(record: Record) -> Record:
    """What was tried and proved, as the page shows it."""
    proof = record.get("proof") or {"differences": ()}
    return {
        **record,
        "attempts": [_attempt(attempt, record["winner"]) for attempt in record["attempts"]],
        "differences": _by_reference([*proof["differences"], *record["against_last"]]),
    }


def _attempt(record: Record, winner: str | None) -> Record:
    attempt = Attempt(
        name=record["name"],
        method=record["method"],
        checkpoints=tuple(record["checkpoints"]),
        weights=tuple(record["weights"]),
        nll_nats=none_to_nan(record["nll_nats"]),
        accuracy=none_to_nan(record["accuracy"]),
        pass_at_k=none_to_nan(record["pass_at_k"]),
    )
    return {
        "how": how_made(attempt),
        "won": attempt.name == winner,
        "nll": f"{attempt.nll_nats:.4f}",
        "accuracy": _percent_or_dash(attempt.accuracy),
        "pass_at_k": _percent_or_dash(attempt.pass_at_k),
    }


def _percent_or_dash(share: float) -> str:
    return f"{100 * share:.1f}" if math.isfinite(share) else DASH


def _cost(record: Record) -> Record:
    difference, p = estimate_of(record.get("difference")), record.get("p_holm")
    cost = Cost(
        axis=record["axis"],
        measure=record["measure"],
        against=record["against"],
        difference=difference,
        direction=record["direction"],
        value=none_to_nan(record.get("value")),
        reference_value=none_to_nan(record.get("reference_value")),
    )
    return {
        "axis": cost.axis,
        "measure": _spaced(cost.measure),
        "value": number_text(cost.value),
        "reference": number_text(cost.reference_value),
        "difference": difference_text(cost),
        "p": DASH if p is None else f"{p:.3f}",
        "headline": bool(record.get("headline")),
        "verdict": cost.reading if difference.reason is None else difference.reason,
        "n": difference.n,
    }


def _spaced(key: str) -> str:
    return str(key).replace("_", " ")


def _stages_present(verdict: Record) -> list[tuple[str, str]]:
    """Stages in the figure with their codes, in the order of a training run."""
    present = {_slug(record["stage"]) for record in verdict["checkpoints"]}
    present |= {
        record["leaning"] for record in verdict["checkpoints"] if record.get("leaning") in STAGE_CODES
    }
    return [(stage, code) for stage, code in STAGE_CODES.items() if stage in present]


def _figure_label(verdict: Record) -> str:
    words = [str(word) for word in verdict.get("words") or ()]
    return "Accuracy and perplexity by step, with the stage of each checkpoint. " + " ".join(words[:2])


def _facts(manifest: Record | None) -> list[tuple[str, str]]:
    """What the manifest records as (name, value) rows, without the checkpoints, which have their table."""
    if manifest is None:
        return []
    facts = list(_fact_rows({key: value for key, value in manifest.items() if key != "checkpoints"}))
    if isinstance(manifest.get("checkpoints"), Sequence | Mapping):
        facts.append(("checkpoints", f"{len(manifest['checkpoints'])} in the manifest"))
    left_out = len(facts) - _FACTS_SHOWN
    return facts[:_FACTS_SHOWN] + ([("and", f"{left_out} more in manifest.json")] if left_out > 0 else [])


def _fact_rows(value: Record, path: str = "") -> Iterator[tuple[str, str]]:
    """One row for each group of plain values, so that a page of settings stays a short table."""
    plain = {key: item for key, item in value.items() if not isinstance(item, Mapping)}
    if path and plain:
        yield path, "; ".join(f"{_spaced(key)} {_fact(item)}" for key, item in plain.items())
    elif plain:
        yield from ((_spaced(key), _fact(item)) for key, item in plain.items())
    for key, item in value.items():
        if isinstance(item, Mapping):
            yield from _fact_rows(item, f"{path} / {_spaced(key)}" if path else _spaced(key))


def _fact(value: Any) -> str:
    if isinstance(value, str) and _FINGERPRINT.fullmatch(value):
        return f"{value[:16]}…"
    if isinstance(value, list | tuple) and len(value) > _LIST_SHOWN:
        return f"{len(value)} listed"
    if isinstance(value, list | tuple) and all(isinstance(item, str | int | float) for item in value):
        value = ", ".join(str(item) for item in value)
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _FACT_LENGTH else f"{text[:_FACT_LENGTH]}…"
