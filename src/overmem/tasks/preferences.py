"""Rows of preference data: the chosen answer is the reference, and rows marked as bad are none.

For DPO, ORPO and the like (`chosen`, `rejected`), and for KTO (`label`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from overmem.errors import DataError

Row = Mapping[str, Any]

PROMPTS = ("prompt", "conversations", "messages", "question", "instruction", "query", "input")
"""Columns that may hold what was asked, where `chosen` is an answer alone."""
MARKS = ("label", "kto_tag")
"""Columns that say whether an answer is wanted."""
LEFT_OUT = "their `label` is false: not an answer to learn"
"""Why rows of KTO are left out."""

_LAST_TURN = "\n\nAssistant:"


def is_marked(row: Row) -> bool:
    """Whether a row is of KTO, which trains its last answer alone."""
    return any(isinstance(row.get(key), bool) for key in MARKS)


def is_bad_answer(row: Row) -> bool:
    """Whether a row of KTO is marked as an answer that is not wanted."""
    return any(row.get(key) is False or row.get(key) == "False" for key in MARKS)


def chosen_row(row: Row, where: str) -> dict[str, Any]:
    """A preference row as the row of its chosen answer.

    Read are a chosen answer (text, a message or a list with one) beside its prompt, a chosen conversation
    from its first turn on, and a chosen transcript (`Human: ... Assistant: ...`) whose last answer is it.

    Args:
        row: with `chosen`, and `rejected` where the prompt has to be found in both.
        where: names the row in errors.

    Returns:
        `messages`, or `prompt` and `completion`.

    Raises:
        DataError: there is no prompt.
    """
    chosen = row["chosen"]
    turns = [chosen] if isinstance(chosen, Mapping) else chosen
    if isinstance(turns, list | tuple) and len(turns) > 1 and not _is_answer(turns[0]):
        return {"messages": turns}
    asked = next((key for key in PROMPTS if row.get(key)), None)
    if asked is None:
        return _from_transcripts(chosen, row.get("rejected"), where)
    prompt: Any = row[asked]
    if asked == "instruction" and isinstance(row.get("input"), str) and row["input"]:
        prompt = f"{prompt}\n{row['input']}"
    if isinstance(turns, str) and isinstance(prompt, list | tuple):
        turns = [{"role": "assistant", "content": turns}]
    if isinstance(turns, list | tuple) and isinstance(prompt, list | tuple):
        return {"messages": [*prompt, *turns]}
    return {"prompt": prompt, "completion": turns}


def _is_answer(turn: object) -> bool:
    role = (turn.get("role") or turn.get("from")) if isinstance(turn, Mapping) else None
    return role in ("assistant", "gpt", "model", "chatgpt")


def _from_transcripts(chosen: object, rejected: object, where: str) -> dict[str, Any]:
    """Prompt and answer of a whole dialogue as text: the last turn in which the two differ is the answer."""
    if isinstance(chosen, str) and isinstance(rejected, str):
        pairs = enumerate(zip(chosen, rejected, strict=False))
        differ = next((at for at, (one, other) in pairs if one != other), min(len(chosen), len(rejected)))
        start = chosen.rfind(_LAST_TURN, 0, differ)
        if start >= 0:
            start += len(_LAST_TURN)
            return {"prompt": chosen[:start], "completion": chosen[start:]}
    raise DataError(
        f"{where} has `chosen` and no prompt to it",
        got=repr(chosen)[:100],
        expected=f"one of {', '.join(PROMPTS)}, or a conversation from its first turn on",
        next_step="name the columns: --columns prompt=COLUMN,completion=chosen",
    )
