"""A user's own perturbed file: its rows, paired with the clean examples by id.

Robustness is a paired measure, so a row that has no clean partner is a mistake in the file and never
dropped in silence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from overmem.errors import DataError
from overmem.records import Example


def pair_variant(name: str, examples: Sequence[Example], perturbed: Sequence[Example]) -> tuple[Example, ...]:
    """Pair perturbed rows with the clean examples of the same id.

    A row without an answer is taken to keep the clean one; if its completion is empty too, it takes
    the clean completion as well. A row with its own answer is left as it is.

    Args:
        name: what the user calls the variant; used in errors.
        examples: the clean examples.
        perturbed: the user's rows, for all or some of the clean ids, in any order.

    Returns:
        The perturbed examples, in the order of the clean ones.

    Raises:
        DataError: there are no rows, an id occurs twice on either side, or a perturbed id is not
            among the clean ones.
    """
    _refuse_duplicates(f"the clean examples of the variant `{name}`", examples)
    _refuse_duplicates(f"the variant `{name}`", perturbed)
    clean = {example.id: example for example in examples}
    unknown = [row.id for row in perturbed if row.id not in clean]
    if unknown:
        raise DataError(
            f"the variant `{name}` has rows that belong to no clean example",
            got=f"{len(unknown)} of {len(perturbed)} ids: {_first(unknown)}",
            expected=f"ids of the {len(clean)} clean examples, such as {_first(clean)}",
            next_step="give each reworded row the `id` of the example it was made from",
        )
    if not perturbed:
        raise DataError(f"the variant `{name}` has no rows", expected="at least one reworded example")
    rows = {row.id: row for row in perturbed}
    return tuple(_complete(rows[id_], example) for id_, example in clean.items() if id_ in rows)


def _complete(row: Example, clean: Example) -> Example:
    """The row, with the clean answer where it has none."""
    if row.answer is not None:
        return row
    completion = row.completion if row.completion.strip() else clean.completion
    return replace(row, answer=clean.answer, completion=completion)


def _refuse_duplicates(what: str, examples: Sequence[Example]) -> None:
    counts = Counter(example.id for example in examples)
    twice = [id_ for id_, count in counts.items() if count > 1]
    if twice:
        raise DataError(
            f"{what} have ids that occur more than once"
            if what.startswith("the clean")
            else f"{what} has ids that occur more than once",
            got=f"{len(twice)} ids: {_first(twice)}",
            expected="one row an id, so that rows can be paired",
            next_step="remove the extra rows, or give them ids of their own",
        )


def _first(ids: Iterable[str], count: int = 3) -> str:
    ids = list(ids)
    return ", ".join(ids[:count]) + (", ..." if len(ids) > count else "")
