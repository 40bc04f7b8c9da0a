"""Solutions rewritten by rule, mixed and sorted, as material for the style test."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

Texts = list[str]


def read(path: Path, key: str) -> list[dict[str, str]]:
    """Rows of a JSON Lines file, or of a JSON list."""
    text = path.read_text(encoding="utf-8")
    rows = json.loads(text) if path.suffix == ".json" else [json.loads(line) for line in text.splitlines()]
    return [row for row in rows if row.get(key)]


def in_steps(text: str) -> str:
    """The same solution as one line of steps, and the answer in a sentence."""
    *steps, answer = text.strip().split("\n")
    said = "; ".join(step.strip().rstrip(".") for step in steps)
    return f"Step 1: {said}. The answer is {answer.replace('####', '').strip()}."


def in_markdown(text: str) -> str:
    """The same solution as a list in Markdown with a bold answer."""
    *steps, answer = text.strip().split("\n")
    listed = "\n".join(f"- {step.strip()}" for step in steps)
    return f"**Solution**\n\n{listed}\n\n**Answer: {answer.replace('####', '').strip()}**"


def with_connectives(text: str) -> str:
    """The same solution with a word before each line and spaces around operators; else as it was."""
    *steps, answer = text.strip().split("\n")
    said = [f"{'Then' if i else 'First'}, {step[:1].lower()}{step[1:]}" for i, step in enumerate(steps)]
    return re.sub(r"(\d)([-+*/=])(\d)", r"\1 \2 \3", "\n".join(said)) + f"\n{answer}"


def operators_in_words(text: str) -> str:
    """The same solution with `plus` for + and so on."""
    named = {"+": " plus ", "-": " minus ", "*": " times ", "/": " divided by ", "=": " equals "}
    spoken = re.sub(r"(?<=[\d)%])\s*([-+*/=])\s*(?=[$(\d])", lambda found: named[found[1]], text)
    return re.sub(r" {2,}", " ", spoken)


def with_german_numbers(text: str) -> str:
    """The same solution with a decimal comma, and a full stop after the thousands."""
    swapped = {",": ".", ".": ","}
    return re.sub(r"(?<=\d)[.,](?=\d)", lambda found: swapped[found[0]], text)


def in_first_person(text: str) -> str:
    """The same solution as somebody tells what they do; else as it was."""
    *steps, answer = text.strip().split("\n")
    return "\n".join([*(f"I see that {step[:1].lower()}{step[1:]}" for step in steps), answer])


def on_one_line(text: str) -> str:
    """The same solution without line breaks."""
    return " ".join(text.split())


def mixed(texts: Sequence[str], rewritten: Sequence[str] | Callable[[str], str], every: int) -> Texts:
    """Every so many-th text replaced."""
    other = [rewritten(text) for text in texts] if callable(rewritten) else rewritten
    return [other[i % len(other)] if i % every == 0 else text for i, text in enumerate(texts)]


def thirds(texts: Sequence[str], key: Callable[[str], float]) -> tuple[Texts, Texts]:
    """The third of the texts with the lowest key, and the third with the highest."""
    ordered = sorted(texts, key=key)
    return ordered[: len(texts) // 3], ordered[-(len(texts) // 3) :]
