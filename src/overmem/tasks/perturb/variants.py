"""One door to all variants: which exist, and how an example is put through one."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace

from overmem.errors import DataError
from overmem.records import Example
from overmem.tasks import wordmath
from overmem.tasks.perturb.distractor import DISTRACTORS, PLAIN_DISTRACTORS, add_distractor
from overmem.tasks.perturb.layout import change_layout
from overmem.tasks.perturb.preamble import PLAIN_PREAMBLES, PREAMBLES, add_preamble
from overmem.tasks.perturb.rename import rename
from overmem.tasks.perturb.typo import add_typos
from overmem.tasks.perturb.vocabulary import EVERYDAY, WORDMATH

NEEDS = {
    "preamble": "a problem in words",
    "typo": "a word of four letters or more",
    "format": "a prompt with text",
    "distractor": "a problem in words",
    "rename": "a common English first name, or a common countable object",
    "numbers": "a procedural task, such as wordmath:val",
}
"""Each variant, with what an example must have to be changed by it."""

VARIANTS: tuple[str, ...] = tuple(NEEDS)
"""Names that `perturb` knows; a user's own perturbed file goes by any other name."""


def perturb(example: Example, variant: str, seed: int) -> Example | None:
    """Reword one example so that its answer stays (`numbers`: so that its structure stays).

    Args:
        example: the clean example; of chat messages, only the last user message is reworded.
        variant: one of VARIANTS.
        seed: with the variant and the id, decides every random choice.

    Returns:
        The same example with another prompt (`numbers`: and another completion and answer), or None
        when this variant has nothing to change in it, as in a problem of code.

    Raises:
        DataError: the variant is unknown.
    """
    _check_variant(variant)
    if "tests" in example.meta:  # a prompt with code says something else once names or layout change
        return None
    if variant == "numbers":
        return wordmath.with_new_numbers(example, seed)
    rng = random.Random(f"{seed}/{variant}/{example.id}")
    if isinstance(example.prompt, str):
        text = _reword(example.prompt, example, variant, rng)
        return None if text is None else replace(example, prompt=text)
    asked = [i for i, message in enumerate(example.prompt) if message["role"] == "user"]
    if not asked:
        return None
    message = example.prompt[asked[-1]]
    text = _reword(message["content"], example, variant, rng)
    if text is None:
        return None
    before, after = example.prompt[: asked[-1]], example.prompt[asked[-1] + 1 :]
    return replace(example, prompt=(*before, {**message, "content": text}, *after))


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
            next_step="leave this variant out, or give your own perturbed file for it",
        )
    return changed


def _reword(text: str, example: Example, variant: str, rng: random.Random) -> str | None:
    """The text put another way; None when nothing in it can be changed."""
    answer = example.answer or ""
    # A procedural task has a language of its own. A model made for it knows no other words, and would
    # fail on them however well it had learned the task.
    plain = wordmath.recall_problem(example) is not None
    vocabulary = WORDMATH if plain else EVERYDAY
    match variant:
        case "preamble":
            changed = add_preamble(text, rng, PLAIN_PREAMBLES if plain else PREAMBLES)
        case "typo":
            changed = add_typos(text, rng, answer)
        case "format":
            changed = change_layout(text, rng)
        case "distractor":
            distractors = PLAIN_DISTRACTORS if plain else DISTRACTORS
            changed = add_distractor(text, rng, answer, distractors, vocabulary)
        case _:
            changed = rename(text, rng, answer, vocabulary)
    return None if changed == text else changed


def _check_variant(variant: str) -> None:
    if variant not in VARIANTS:
        raise DataError(
            "unknown robustness variant",
            got=variant,
            expected=", ".join(VARIANTS),
            next_step="choose one of these, or give your own perturbed file",
        )
