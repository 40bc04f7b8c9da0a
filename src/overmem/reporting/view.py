"""What the page says, as plain values for its template: headline, tiles, tables, settings.

Everything here is made from saved records; nothing is computed anew and nothing is escaped yet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from overmem.formatting import (
    DASH,
    TIMES,
    accuracy_text,
    confidence_text,
    figure_text,
    percent,
    points_text,
)
from overmem.records import Attempt, Cost, none_to_nan
from overmem.repairing.narrative import how_made
from overmem.reporting.exhibits.kinds import Cell
from overmem.reporting.figures.curves import estimate_of
from overmem.reporting.figures.forest import cost_of
from overmem.reporting.figures.palette import STAGE_CODES
from overmem.reporting.terminal_tables import difference_text, number_text
from overmem.stats.intervals import critical_value
from overmem.verdict.narrative import INFLATED, cost_text

Record = Mapping[str, Any]

_GLOSS = {
    "learning": "Accuracy is still rising to its peak.",
    "fit": "Accuracy is at its best and perplexity is not inflated.",
    "over-memorized": "Accuracy holds, but perplexity is inflated.",
    "overfit": "Accuracy has fallen and perplexity is inflated.",
    "unstable": "Accuracy has fallen, though perplexity is not inflated.",
}
_SAY: dict[str, Callable[..., str]] = {"accuracy": accuracy_text, "perplexity": figure_text}


def stage_slug(stage: str | None) -> str:
    """A stage as the page's style knows it."""
    return stage if stage in STAGE_CODES else "undetermined"


def headline(verdict: Record) -> Record:
    """The stage of the last checkpoint and how sure it is."""
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
    return {"stage": name, "slug": stage_slug(stage), "detail": detail, "last": last.get("name")}


def reasons(verdict: Record) -> list[tuple[str, str]]:
    """The two figures that carry the stage of the last checkpoint: what they show, and the figures."""
    checkpoints, limits = verdict["checkpoints"], verdict.get("thresholds") or {}
    if not checkpoints or verdict.get("evidence") == "logged":
        return []
    last = checkpoints[-1]
    stage = last.get("leaning") or verdict["stage"]
    found = [_accuracy_reason(checkpoints, last, stage, limits.get("accuracy_margin"))]
    found.append(_perplexity_reason(checkpoints, last, limits.get("perplexity_ratio")))
    return [reason for reason in found if reason is not None]


def _accuracy_reason(
    checkpoints: Sequence[Record], last: Record, stage: str, margin: float | None
) -> tuple[str, str] | None:
    measured = [record for record in checkpoints if math.isfinite(_value(record, "accuracy"))]
    if margin is None or last not in measured:
        return None
    peak = max(measured, key=lambda record: _value(record, "accuracy"))
    here = accuracy_text(estimate_of(last["accuracy"]), DASH)
    gap = _value(peak, "accuracy") - _value(last, "accuracy")
    if gap < 1e-9:
        return "Accuracy is the highest of the run", f"{here} of {last['accuracy']['n']:,} problems"
    comparable = stage in ("fit", "over-memorized")
    what = "Accuracy holds" if comparable else "Accuracy is below its peak"
    there = _parts(accuracy_text(estimate_of(peak["accuracy"])))[0]
    text = (
        f"{here}, {points_text(round(gap, 4))} below the highest, {there} at {peak['name']}; "
        f"up to {points_text(margin)} less counts as equal"
    )
    if (gap <= margin + 1e-9) != comparable:
        text += (
            f". The highest of {len(measured)} measured figures flatters itself; the confidence allows for it"
        )
    return what, text


def _perplexity_reason(
    checkpoints: Sequence[Record], last: Record, limit: float | None
) -> tuple[str, str] | None:
    measured = [record for record in checkpoints if math.isfinite(_value(record, "perplexity"))]
    if limit is None or last not in measured:
        return None
    lowest = min(measured, key=lambda record: _value(record, "perplexity"))
    here = figure_text(estimate_of(last["perplexity"]), dash=DASH)
    if lowest is last:
        return "Perplexity is the lowest of the run", here
    ratio = _value(last, "perplexity") / _value(lowest, "perplexity")
    what = "Perplexity is inflated" if ratio >= limit else "Perplexity is not inflated"
    there = _parts(figure_text(estimate_of(lowest["perplexity"])))[0]
    against = f"{ratio:.2f} times the lowest, {there} at {lowest['name']}"
    return what, f"{here}, {against}; from {limit:.2f} on counts as inflated"


def _value(record: Record, key: str) -> float:
    return estimate_of(record.get(key)).value


def tiles(verdict: Record) -> list[tuple[str, str, list[str]]]:
    """The figures to see first: (label, value, lines of context)."""
    if not verdict["checkpoints"]:
        return []
    last, found = verdict["checkpoints"][-1], []
    onset, limit = verdict.get("onset") or {}, (verdict.get("thresholds") or {}).get("perplexity_ratio")
    if onset.get("step") is not None:
        low, high = onset.get("low"), onset.get("high")
        interval = f"95% interval {low} to {high}" if low is not None and high is not None else "no interval"
        sure = verdict["stage"] in INFLATED
        found.append(("Since step" if sure else "If so, since step", f"{onset['step']}", [interval]))
    found.append(("Accuracy, last checkpoint", *_tile(verdict, last, "accuracy")))
    found.append(("Perplexity, last checkpoint", *_tile(verdict, last, "perplexity")))
    ratio = (verdict.get("severity") or {}).get("perplexity_ratio")
    if ratio is not None:
        rule = [f"{limit:.2f} counts as inflated"] if limit is not None else []
        found.append(("Perplexity over the lowest", f"{TIMES}{ratio:.2f}", rule))
    return found


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


def checkpoint_row(verdict: Record, record: Record) -> Record:
    """One row of the table of checkpoints."""
    recommended = (verdict.get("recommended") or {}).get("name")
    alternatives = verdict.get("alternatives") or {}
    tags = ["ship"] if record["name"] == recommended else []
    tags += [
        spaced(key)
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
        "slug": stage_slug(record["stage"]),
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


def naive_choices(verdict: Record) -> list[tuple[str, str, str]]:
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
        choices.append((spaced(key), name or "none", cost))
    return choices


def by_reference(records: Sequence[Record]) -> list[tuple[str, list[Cost]]]:
    """Differences by what they are taken against, in the order of the record."""
    against = dict.fromkeys(record["against"] for record in records)
    return [(name, [cost_of(r) for r in records if r["against"] == name]) for name in against]


def repair_differences(record: Record) -> list[tuple[str, list[Cost]]]:
    """Before and after a repair, against what it was to beat and against the last checkpoint."""
    proof = record.get("proof") or {"differences": ()}
    return by_reference([*proof["differences"], *record["against_last"]])


def attempt_row(record: Record, winner: str | None) -> Record:
    """One merge that a repair tried."""
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


def cost_row(cost: Cost) -> Record:
    """A difference as a row of the table."""
    return {
        "axis": cost.axis,
        "measure": spaced(cost.measure),
        "value": number_text(cost.value),
        "reference": number_text(cost.reference_value),
        "difference": difference_text(cost),
        "p": f"{cost.p_holm:.3f}" if math.isfinite(cost.p_holm) else DASH,
        "headline": cost.headline,
        "verdict": cost.difference.reason or cost.outcome,
        "n": cost.difference.n,
    }


def share_text(count: int, n: int) -> str:
    """A share in percent with Wilson's 95% interval, which is never of width zero."""
    z, value = critical_value(max(n, 2)), count / n
    centre = (value + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * math.sqrt(value * (1 - value) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return f"{percent(value, 0)} ({100 * low:.0f}{DASH}{100 * high:.0f})"


def cell_text(cell: Cell) -> str:
    """A figure of a small table: four digits, nothing where it is undefined."""
    if isinstance(cell, float):
        return f"{cell:.4g}" if math.isfinite(cell) else ""
    return "" if cell is None else str(cell)


def spaced(key: str) -> str:
    """A key as words."""
    return str(key).replace("_", " ")


def stages_present(verdict: Record) -> list[tuple[str, str]]:
    """Stages in the figure with their codes, in the order of a training run."""
    present = {stage_slug(record["stage"]) for record in verdict["checkpoints"]}
    present |= {
        record["leaning"] for record in verdict["checkpoints"] if record.get("leaning") in STAGE_CODES
    }
    return [(stage, code) for stage, code in STAGE_CODES.items() if stage in present]


def figure_label(verdict: Record) -> str:
    """The dynamics figure for who cannot see it."""
    words = [str(word) for word in verdict.get("words") or ()]
    return "Accuracy and perplexity by step, with the stage of each checkpoint. " + " ".join(words[:2])
