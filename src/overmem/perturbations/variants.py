"""One door to all variants: which exist, and how an example is put through one."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace

from overmem.errors import DataError
from overmem.perturbations.distractor import add_distractor
from overmem.perturbations.languages import LANGUAGES, Language, language_of
from overmem.perturbations.layout import change_layout
from overmem.perturbations.options import options_in_question, shuffle_options
from overmem.perturbations.preamble import add_preamble
from overmem.perturbations.rename import rename
from overmem.perturbations.typo import add_typos
from overmem.records import Example

NEEDS = {
    "preamble": "a problem in words",
    "typo": "a word of four letters or more",
    "format": "a prompt with text",
    "distractor": "a problem in words",
    "rename": "a common English first name or countable object; options that are numbers or told before",
    "options": "options lettered from (A), one a line, and an answer that is one of the letters",
    "numbers": "a procedural task with numbers, such as wordmath:val",
    "order": "a procedural task whose facts have no order, such as knights:val or facts:val",
    "leaf": "a procedural task made of facts, such as knights:val or facts:val",
    "statement": "a procedural task made of statements, such as knights:val",
}
"""Each variant, with what an example must have to be changed by it."""

VARIANTS: tuple[str, ...] = tuple(NEEDS)
"""Names that `perturb` knows; a user's own perturbed file goes by any other name."""

TASK_VARIANTS = frozenset(name for language in LANGUAGES for name in language.variants)
"""Those that a procedural task makes by itself."""


def perturb(example: Example, variant: str, seed: int) -> Example | None:
    """Put one example another way, so that its answer stays or is known to change.

    Args:
        example: the clean example; of chat messages, only the last user message is reworded.
        variant: one of VARIANTS.
        seed: with the variant and the id, decides every random choice.

    Returns:
        The same example with another prompt (`options`, `numbers`, `leaf` and `statement`: and another
        completion and answer), or None when this variant has nothing to change in it, as in code.

    Raises:
        DataError: the variant is unknown.
    """
    _check_variant(variant)
    if "tests" in example.meta:  # a prompt with code says something else once names or layout change
        return None
    language = language_of(example)
    if variant in TASK_VARIANTS:
        change = language.variants.get(variant)
        return None if change is None else change(example, seed)
    if example.tokens is not None:
        return None  # its text is only read from its tokens: another text would have to be rendered
    rng = random.Random(f"{seed}/{variant}/{example.id}")
    asked = _asked(example)
    if variant == "options":
        shuffled = shuffle_options(example, asked, rng)
        return None if shuffled is None else _with_asked(shuffled[1], shuffled[0])
    if variant == "rename" and not options_in_question(asked):
        return None  # what the options mean is known, not told: another fruit is no citrus fruit
    text = _reword(asked, example.answer or "", variant, language, rng)
    return None if text is None or text == asked else _with_asked(example, text)


def perturb_all(examples: Iterable[Example], variant: str, seed: int) -> tuple[Example, ...]:
    """The examples that a variant can change, changed, in their order.

    Args:
        examples: the clean examples.
        variant: one of VARIANTS.
        seed: as in `perturb`.

    Raises:
        DataError: the variant is unknown, or it can change none of the examples.
    """
    _check_variant(variant)
    examples = tuple(examples)
    changed = tuple(new for example in examples if (new := perturb(example, variant, seed)) is not None)
    if not changed:
        raise DataError(
            f"the variant `{variant}` cannot change any of these examples",
            got=f"{len(examples)} examples" + (f", the first `{examples[0].id}`" if examples else ""),
            expected=NEEDS[variant],
            next_step="leave this variant out, or give your own reworded file for it",
        )
    return changed


def _asked(example: Example) -> str:
    """The text that holds the problem: the prompt, or of chat messages the last user message."""
    if isinstance(example.prompt, str):
        return example.prompt
    return next((m["content"] for m in reversed(example.prompt) if m["role"] == "user"), "")


def _with_asked(example: Example, text: str) -> Example:
    """The example with another text in the place of `_asked`."""
    if isinstance(example.prompt, str):
        return replace(example, prompt=text, row=None)
    at = max(i for i, message in enumerate(example.prompt) if message["role"] == "user")
    before, message, after = example.prompt[:at], example.prompt[at], example.prompt[at + 1 :]
    return replace(example, prompt=(*before, {**message, "content": text}, *after), row=None)


def _reword(text: str, answer: str, variant: str, language: Language, rng: random.Random) -> str | None:
    """The text put another way; None when nothing in it can be changed."""
    match variant:
        case "preamble":
            return add_preamble(text, rng, language.preambles)
        case "typo":
            return add_typos(text, rng, answer)
        case "format":
            return change_layout(text, rng)
        case "distractor":
            return add_distractor(text, rng, answer, language.distractors, language.distractor_words)
        case _:
            return rename(text, rng, answer, language.rename_words)


def _check_variant(variant: str) -> None:
    if variant not in VARIANTS:
        raise DataError(
            "unknown robustness variant",
            got=variant,
            expected=", ".join(VARIANTS),
            next_step="choose one of these, or give your own reworded file",
        )
