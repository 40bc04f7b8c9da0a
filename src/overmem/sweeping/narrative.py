"""A sweep in plain sentences, from its record alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from overmem.formatting import FULL, accuracy_text, certainty_text, estimate_text, spaced, stage_text
from overmem.records import TOO_FEW_SEEDS, Cost, Estimate
from overmem.sweeping.record import Edge, Family, SweepResult, short_key

CHOICES = {"lowest_perplexity": "lowest perplexity", "highest_accuracy": "highest accuracy"}
CONSTANT = ("constant", "constant_with_warmup")


def sweep_words(result: SweepResult) -> tuple[str, ...]:
    """What to train with and why, how far the edge is, what the naive choices cost, and what to beware of.

    Args:
        result: the record; its own `words` are ignored.
    """
    words = [text for family in result.families for text in _family_words(family, result)]
    if not result.families:
        words.append("Nothing can be said: no cell has a verdict.")
    if len(result.families) > 1:
        words.append(
            f"The cells fall into {len(result.families)} families whose perplexities cannot be compared, "
            "being of other models, tokenizers or val problems: each has a recommendation of its own."
        )
    if failed := result.failed:
        words.append(
            f"{len(failed)} of {len(result.cells)} cells failed and say nothing: "
            f"{', '.join(cell.name for cell in failed)}."
        )
    return tuple(words)


def _family_words(family: Family, result: SweepResult) -> Iterator[str]:
    chosen = family.recommended
    of = f" For {family.model}:" if len(result.families) > 1 else ""
    if chosen is None:
        yield f"{of} Nothing is recommended: {family.reason}.".strip()
        return
    point = family.point(chosen.label)
    stage = stage_text(point.stage, point.leaning)
    sure = f"{stage}, {certainty_text(None, point.confidence)}" if point.leaning is None else stage
    taken = _checkpoint(point.epoch, chosen.checkpoint)
    yield f"{of} Train with {chosen.group} and take {taken} ({sure}).".strip()
    yield f"{chosen.why} n = {family.n} problems."
    yield edges_text(chosen.edges)
    for key, label in family.alternatives.items():
        if label != chosen.label:
            yield f"By {CHOICES[key]} alone: {family.alternative_costs[key]}"
        else:
            yield f"{CHOICES[key].capitalize()} alone would have picked the same."
    measured_again = family.confirmed_figures.get(chosen.label)
    if measured_again is not None:
        yield again_text(measured_again, str(result.confirm))
    if family.confirmed:
        yield confirm_text(family.confirmed, str(result.confirm))
    elif measured_again is None:
        yield (
            "These figures chose the recommended point, the best of "
            f"{len(family.points)}, and so flatter it; `overmem sweep --confirm SOURCE` measures it again on "
            "problems that chose nothing."
        )
    if any(group.scheduler not in CONSTANT for group in family.groups):
        yield (
            "Epochs are checkpoints along each run's own schedule: a run trained for so many epochs only "
            "would have lowered its learning rate sooner. To compare lengths of training, put "
            "`training.num_train_epochs` into the grid."
        )


def _checkpoint(epoch: float | None, name: str) -> str:
    return name if epoch is None else f"epoch {epoch:g} ({name})"


def edges_text(edges: Sequence[Edge]) -> str:
    """The margin of a recommendation, in a sentence or two."""
    parts = []
    for edge in edges:
        what = f"{'up' if edge.upward else 'down'} in {spaced(short_key(edge.key))}"
        if edge.to is not None:
            parts.append(f"{_steps(edge.steps)} {what} is {edge.stage}")
        elif edge.steps:
            parts.append(f"{what} all are fit to the end of the grid ({_steps(edge.steps)})")
        else:
            parts.append(f"{what} the grid ends here, so what lies beyond is not known")
    return (
        f"Margin to the edge of the fit region: {'; '.join(parts)}." if parts else "The grid has one point."
    )


def _steps(n: int) -> str:
    return f"{n} step{'s' if n > 1 else ''}"


def again_text(figures: Mapping[str, Estimate], source: str) -> str:
    """The recommended point on the problems that chose nothing."""
    return (
        f"Measured again on problems that chose nothing ({source}): accuracy "
        f"{accuracy_text(figures['accuracy'])}, perplexity {estimate_text(figures['perplexity'])}."
    )


def confirm_text(costs: Sequence[Cost], source: str) -> str:
    """What the problems that chose nothing say of the recommended point against the naive picks."""
    against = dict.fromkeys(cost.against for cost in costs)
    parts = []
    for label in against:
        differences = [_difference(cost) for cost in costs if cost.against == label]
        parts.append(f"against {label}: {'; '.join(differences)}")
    n = costs[0].difference.n
    return f"On {n} problems that chose nothing ({source}), the recommended point {'. And '.join(parts)}."


def _difference(cost: Cost) -> str:
    figure = f"{spaced(cost.measure)} {estimate_text(cost.difference, '+.3f', frame=FULL)}"
    return f"{figure}, {cost.outcome}" if cost.outcome == TOO_FEW_SEEDS else figure
