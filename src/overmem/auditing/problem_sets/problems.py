"""One set of problems as the model sees it: examples, their tokens, and how answers to them are graded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from overmem.artifacts.rows import subset
from overmem.auditing.options import AuditOptions
from overmem.axes.axis import Available
from overmem.errors import DataError
from overmem.grading.grade import get_grader, grade, grading_key
from overmem.models.lm_eval.tasks import LmEvalTask
from overmem.records import Example
from overmem.rendering.proof import warnings_of_all
from overmem.rendering.render import render_all
from overmem.rendering.rendered import Rendered, data_fingerprint, fingerprint


@dataclass(frozen=True)
class Problems:
    """One set of problems in one wording."""

    set: str
    """See `overmem.artifacts.jobs.Job`."""
    variant: str
    """`clean`, or the name of a perturbation."""
    source: str
    grader: str
    shape: str
    examples: tuple[Example, ...]
    rendered: tuple[Rendered, ...]
    shas: tuple[str, ...]
    """Of each example's tokens; part of the identity of its rows."""
    fingerprint: str
    """Of all of them together."""
    longest_completion: int
    """Tokens of the longest reference, before subsampling, so that a limit changes no answer."""
    task: LmEvalTask | None = None
    """Asks and judges the problems by itself, from the texts alone: `rendered` then has no tokens."""
    allow_code_execution: bool = False
    """The grader `code` may run what models write."""
    drawn_from: tuple[Example, ...] = ()
    """All of the training data, of which `examples` are a few; empty for other sets."""
    warnings: tuple[str, ...] = ()
    """What speaks against the tokens being those of training."""

    def graded(self, text: str, example: Example) -> dict[str, Any]:
        """The columns that the grader fills; empty where nothing is graded."""
        if self.grader == "none":
            return {"grader": self.grader, "answer": None, "correct": None}
        found = grade(
            text,
            example,
            self.grader,
            asked=self._asked_texts.get(example.id),
            allow_code_execution=self.allow_code_execution,
        )
        key = grading_key(self.grader, example)
        return {"grader": key, "answer": found.answer, "correct": float(found.correct)}

    @cached_property
    def _asked_texts(self) -> dict[str, str]:
        return {item.example_id: item.prompt_text for item in self.rendered}

    def graded_again(self, row: dict[str, Any], example: Example) -> dict[str, Any]:
        """A saved answer's row as it would be graded now; code is run again only where its tests changed."""
        if get_grader(self.grader).runs_code and (
            row["grader"] == grading_key(self.grader, example) or not self.allow_code_execution
        ):
            return row
        return row | self.graded(row["text"], example)

    def chosen(self, limit: int | None, seed: int) -> list[int]:
        """Positions of a random subset in the data's own order; see `subset`."""
        return subset([example.id for example in self.examples], limit, seed)


def problems_of(
    set_name: str,
    variant: str,
    source: str,
    shape: str,
    grader: str,
    examples: Sequence[Example],
    options: AuditOptions,
    tokenizer: Any,
) -> Problems:
    """Examples as one set of problems.

    Args:
        set_name: of the set.
        variant: `clean`, or the name of a perturbation.
        source: where they are from.
        shape: what became prompt, completion and answer.
        grader: that judges answers; `none` where none are asked for.
        examples: the problems, at least one.
        options: of the audit, whose template renders them.
        tokenizer: of the run.
    """
    rendered = render_all(examples, tokenizer, options.template)
    trained = [i for i, item in enumerate(rendered) if item.completion_ids]
    if not trained:
        raise DataError(
            f"training saw no answer of {source}",
            got=f"{len(rendered)} rows, every one of them cut before its answer",
            expected=f"answers within {options.template.max_length} tokens",
            next_step="check --max-length: it is training's cutoff, in tokens",
        )
    if len(trained) < len(rendered):
        cut = len(rendered) - len(trained)
        shape = f"{shape}; {cut} rows left out, which training cut before their answer (--max-length)"
        examples, rendered = [examples[i] for i in trained], tuple(rendered[i] for i in trained)
    return Problems(
        set=set_name,
        variant=variant,
        source=source,
        grader=grader,
        shape=shape,
        examples=tuple(examples),
        rendered=rendered,
        shas=tuple(fingerprint(item) for item in rendered),
        fingerprint=data_fingerprint(rendered),
        longest_completion=max(len(item.answer_ids) for item in rendered),
        allow_code_execution=options.allow_code_execution,
        warnings=warnings_of_all(examples, rendered, tokenizer, options.template)
        if (set_name, variant) == ("val", "clean")
        else (),
    )


def available(
    problems: Mapping[str, Problems],
    *,
    has_base: bool = False,
    base_row: bool = False,
    base_answers: bool = True,
) -> Available:
    """What the axes may ask for; see `Available`."""
    clean = {item.set: item for item in problems.values() if item.variant == "clean"}
    return Available(
        sets=tuple(clean),
        variants=tuple(item.variant for item in problems.values() if item.variant != "clean"),
        graded=frozenset(name for name, item in clean.items() if item.grader != "none"),
        external=frozenset(name for name, item in clean.items() if item.task is not None),
        has_base=has_base,
        base_row=base_row,
        base_answers=base_answers,
    )


def said_of(problems: Mapping[str, Problems]) -> tuple[str, ...]:
    """What each set was read as, and what speaks against its tokens, a line each."""
    lines = []
    for name, item in problems.items():
        lines.append(
            f"{name}: {item.source}: {item.shape}; {len(item.examples)} examples, grader {item.grader}"
        )
        lines += [f"warning: {text}" for text in item.warnings]
    return tuple(lines)
