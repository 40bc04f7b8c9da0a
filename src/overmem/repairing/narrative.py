"""A repair in plain sentences, from its record alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

from overmem.formatting import cost_figure, estimate_text, percent, sentence, shell_word
from overmem.records import Attempt, Cost, Repair
from overmem.stats.perplexity import perplexity


def repair_words(repair: Repair) -> tuple[str, ...]:
    """What came of it, why, what the cheapest remedy does, and what to do next.

    Args:
        repair: the record; its own `words` are ignored.
    """
    points = (
        _outcome(repair),
        _tries(repair),
        _against_last(repair),
        _temperature(repair),
        _retraining(repair),
    )
    return tuple(point for point in points if point)


def how_made(attempt: Attempt) -> str:
    """A merge in words: `0.75 checkpoint-400 + 0.25 checkpoint-2200`."""
    if len(attempt.checkpoints) == 2:
        parts = [f"{w:.4g} {n}" for n, w in zip(attempt.checkpoints, attempt.weights, strict=True)]
        return " + ".join(parts)
    if attempt.method == "greedy":
        steps = ", ".join(name.removeprefix("checkpoint-") for name in attempt.checkpoints)
        return f"mean of checkpoints {steps}"
    ends = f"{attempt.checkpoints[0]} to {attempt.checkpoints[-1]}"
    if len(set(attempt.weights)) == 1:
        return f"mean of {len(attempt.checkpoints)}, {ends}"
    return f"EMA of {len(attempt.checkpoints)}, {ends}"


def _outcome(repair: Repair) -> str:
    if repair.proof is None or repair.winner is None:
        return f"Nothing was merged, so {repair.before} is the one to ship."
    winner = next(attempt for attempt in repair.attempts if attempt.name == repair.winner)
    verb = "Repaired" if repair.proof.accepted else "Rejected"
    text = (
        f"{verb}: {winner.name} ({how_made(winner)}) against {repair.before} on {repair.n_confirm} "
        f"held-out problems, which were not used to choose it: {repair.proof.reason}."
    )
    worse = [cost for cost in repair.proof.differences if cost.headline and cost.outcome == "worse"]
    if worse:
        text += f" Worse in {', '.join(f'{cost.axis} ({cost_figure(cost)})' for cost in worse)}."
    return f"{text} {_accuracy_and_nll(repair.proof.differences)}".strip() + (
        "" if repair.proof.accepted else f" Ship {repair.before}."
    )


def _tries(repair: Repair) -> str:
    """What it means that other merges were tried on the same problems before."""
    proof = repair.proof
    if proof is None or proof.number == 1:
        return ""
    text = (
        f"It is merge number {proof.number} that was tried on these problems. Each further one must be "
        f"clearer not to be luck: the chance of either error is kept to {proof.level:.2g}, 0.05 at first."
    )
    if proof.accepted:
        return text
    return (
        f"{text} Measure fresh problems to begin anew: overmem repair {shell_word(repair.run)} --confirm FILE"
    )


def _accuracy_and_nll(costs: Sequence[Cost]) -> str:
    by_name = {cost.measure: cost for cost in costs if cost.axis in ("accuracy", "likelihood")}
    accuracy, nll = by_name.get("accuracy"), by_name.get("nll")
    if accuracy is None or nll is None:
        return ""
    ratio = perplexity(nll.difference.value)
    return (
        f"Accuracy goes from {percent(accuracy.reference_value)} to {percent(accuracy.value)}, "
        f"perplexity from {perplexity(nll.reference_value):.3f} to {perplexity(nll.value):.3f} "
        f"(times {ratio:.3f})."
    )


def _against_last(repair: Repair) -> str:
    if not repair.against_last or repair.proof is None or not repair.proof.accepted:
        return ""
    heads = [cost for cost in repair.against_last if cost.headline]
    better = [cost.axis for cost in heads if cost.outcome == "better"]
    worse = [cost.axis for cost in heads if cost.outcome == "worse"]
    text = f"Against the last checkpoint, {repair.last}: " + (
        f"better in {', '.join(better)}" if better else "clearly better in nothing"
    )
    text += f"; worse in {', '.join(worse)}" if worse else ""
    return f"{text}. {_accuracy_and_nll(repair.against_last)}".strip()


def _temperature(repair: Repair) -> str:
    found = repair.temperature
    if found is None or not math.isfinite(found.nll_change.value):
        return ""
    if found.temperature == 1.0:
        return f"No temperature improves {repair.before}: it is neither too sure nor too unsure."
    change = found.nll_change
    helps = "" if change.high < 0 else ", no clear gain"
    return (
        f"Temperature scaling alone: dividing the logits of {repair.before} by {found.temperature:g} "
        f"changes its NLL by {estimate_text(change, '+.4f')}{helps}, and no greedy answer."
    )


def _retraining(repair: Repair) -> str:
    found = repair.retraining
    if found is None:
        return ""
    text = f"Retraining would do better than any merge: {'; '.join(found.reasons)}."
    if found.recipe is None:
        return f"{text} Train with a smaller learning rate and for fewer epochs."
    return sentence(f"{text} Recipe ({'; '.join(found.changes)}): overmem train {shell_word(found.recipe)}")
