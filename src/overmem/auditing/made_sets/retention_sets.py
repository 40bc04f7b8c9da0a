"""The prompts of the axis `retention`: which are asked where nobody names any, and how they are asked."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from overmem.recipe.base_model import ORGANISM
from overmem.rendering.template import Template


def default_retention(tokenizer: Any) -> dict[str, str]:
    """The sets beside the task that are made by rule and need no download, sources by name.

    General instructions; or, where the vocabulary is the bundled organism's, which has the words of its own
    small world alone, what its base model was pretrained on.

    Args:
        tokenizer: of the run.
    """
    if tokenizer.get_vocab().keys() <= _organism_vocabulary():
        return {"sums": "pretrained:sums[:100]", "problems": "pretrained:problems[:100]"}
    return {"general": "instructions:general"}


def as_asked_before(template: Template, tokenizer: Any) -> Template:
    """How the base model was asked before there was a task: by its chat template, or else as plain text.

    The task's prompt format, system message and cutoff are left out.

    Args:
        template: of the fine-tune, whose chat template is kept.
        tokenizer: of the run.
    """
    return Template(
        kind="chat" if template.chat_template or getattr(tokenizer, "chat_template", None) else "plain",
        eos=tokenizer.eos_token is not None,
        chat_template=template.chat_template,
        chat_template_kwargs=template.chat_template_kwargs,
    )


@cache
def _organism_vocabulary() -> frozenset[str]:
    read = json.loads((ORGANISM / "tokenizer.json").read_text(encoding="utf-8"))
    return frozenset(read["model"]["vocab"]) | {token["content"] for token in read["added_tokens"]}
