"""Two renderings of the same rows side by side: are the scored tokens those that training prepared?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from overmem.rendering.proof import token_text
from overmem.rendering.rendered import Rendered, Tokenizer

_BEFORE, _AFTER = 4, 8
"""Ids shown around a difference."""


@dataclass(frozen=True, kw_only=True)
class TokenCheck:
    """How many rows are the same, and where the first one differs."""

    source: str
    n_rows: int
    n_prepared: int
    n_same: int
    """The same tokens, and the same of them scored, in the row of the same place."""
    n_elsewhere: int
    """Found in another row: training shuffled or left out some."""
    n_other_mask: int
    """The same tokens, other ones scored."""
    first_difference: str | None = None

    @property
    def all_same(self) -> bool:
        """Whether every row of ours was prepared so."""
        return self.n_same + self.n_elsewhere == self.n_rows

    def __str__(self) -> str:
        """A few lines for the terminal."""
        moved = f", {self.n_elsewhere} more in another row" if self.n_elsewhere else ""
        same = f"{self.n_same} of {self.n_rows} rows are the tokens that training had"
        lines = [f"{self.source}: {same}{moved}"]
        if self.n_rows != self.n_prepared:
            lines.append(f"training prepared {self.n_prepared} rows, and the source has {self.n_rows}")
        if self.n_other_mask:
            lines.append(f"{self.n_other_mask} rows have the same tokens, and other ones of them are scored")
        if self.first_difference is not None:
            lines.append(self.first_difference)
        return "\n".join(lines)


def compare_tokens(
    ours: Sequence[Rendered], prepared: Sequence[Rendered], tokenizer: Tokenizer, source: str
) -> TokenCheck:
    """Compare row by row; a row that is not at its place is looked for at others.

    Where training took its loss on prompts too, more is trained than is scored, which is no difference:
    prompts are never scored.

    Args:
        ours: rows as the audit renders them.
        prepared: rows as training prepared them.
        tokenizer: of the run, for messages.
        source: the name of our rows.
    """
    anywhere = {item.input_ids: item for item in prepared}
    same = elsewhere = other_mask = 0
    first: str | None = None
    for at, item in enumerate(ours):
        beside = prepared[at] if at < len(prepared) else None
        twin = anywhere.get(item.input_ids)
        if beside is not None and _same(item, beside):
            same += 1
        elif twin is not None and _same(item, twin):
            elsewhere += 1
        else:
            other_mask += twin is not None
            first = first or _difference(at, item, twin or beside, tokenizer)
    return TokenCheck(
        source=source,
        n_rows=len(ours),
        n_prepared=len(prepared),
        n_same=same,
        n_elsewhere=elsewhere,
        n_other_mask=other_mask,
        first_difference=first,
    )


def _same(ours: Rendered, theirs: Rendered) -> bool:
    """The same tokens, of which the same are scored; or all of them were trained, prompts too."""
    mask = _trained(theirs)
    return theirs.input_ids[: len(ours)] == ours.input_ids and (mask == _trained(ours) or all(mask[1:]))


def _trained(item: Rendered) -> tuple[bool, ...]:
    return (False,) * len(item.prompt_ids) + item.scored_mask


def _difference(at: int, ours: Rendered, theirs: Rendered | None, tokenizer: Tokenizer) -> str:
    """Where a row first differs, with the tokens around."""
    if theirs is None:
        return f"row {at} (`{ours.example_id}`): training prepared no such row"
    pairs = zip(
        zip(ours.input_ids, _trained(ours), strict=True),
        zip(theirs.input_ids, _trained(theirs), strict=True),
        strict=False,
    )
    place = next(
        (i for i, (one, other) in enumerate(pairs) if one != other),
        min(len(ours), len(theirs)),
    )
    name = f"row {at} (`{ours.example_id}`) differs first at token {place}"
    sides = [
        f"  {title}: {token_text(tokenizer, item.input_ids[max(place - _BEFORE, 0) : place])}"
        f" >>> {token_text(tokenizer, item.input_ids[place : place + _AFTER]) or '(ends)'}"
        f" ({_state(item, place)})"
        for title, item in (("scored here ", ours), ("training had", theirs))
    ]
    return "\n".join([name, *sides])


def _state(item: Rendered, place: int) -> str:
    mask = _trained(item)
    return "ended" if place >= len(mask) else "trained" if mask[place] else "not trained"
