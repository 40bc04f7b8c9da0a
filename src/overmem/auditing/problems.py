"""The problems of an audit as the model sees them: val, train, OOD sets and perturbed val.

An OOD set may also be a task of lm-evaluation-harness, which renders, asks and judges it by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from overmem.artifacts.jobs import data_key
from overmem.auditing.options import AuditOptions, Half
from overmem.axes import all_axes
from overmem.axes.axis import Available
from overmem.errors import DataError
from overmem.grading.grade import check_gradable, get_grader, grade, grading_key
from overmem.models.lm_eval.tasks import PREFIX, Document, LmEvalTask, is_lm_eval, load_task
from overmem.perturbations import VARIANTS, pair_variant, perturb_all
from overmem.records import Example
from overmem.tasks import sources
from overmem.tasks.rendered import Rendered, data_fingerprint, fingerprint
from overmem.tasks.rendering import render
from overmem.tasks.template import Template

OOD, REFERENCES = "ood/", "references/"
"""Prefixes of the names of OOD sets, and of references in other styles."""


@dataclass(frozen=True)
class Problems:
    """One set of problems in one wording."""

    set: str
    """`val`, `train`, `ood/NAME`, `references/NAME`, or `answers`."""
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

    def graded(self, text: str, example: Example) -> dict[str, Any]:
        """The columns that the grader fills."""
        found = grade(self.grader, text, example, allow_code_execution=self.allow_code_execution)
        key = grading_key(self.grader, example)
        return {"grader": key, "answer": found.answer, "correct": float(found.correct)}

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


def subset(ids: Sequence[str], limit: int | None, seed: int) -> list[int]:
    """Positions of a random subset, in order; subsets of one seed are nested, whatever the set."""
    if limit is None or limit >= len(ids):
        return list(range(len(ids)))
    order = sorted(range(len(ids)), key=lambda i: hashlib.sha256(f"{seed}/{ids[i]}".encode()).digest())
    return sorted(order[:limit])


def half_of(prompts: Mapping[str, str], half: Half, seed: int) -> frozenset[str]:
    """Ids of one of two random halves of the problems: `search`, where things are chosen, or `confirm`.

    Problems of one wording fall into one half, whatever their ids. Independent of `subset`, so that a limit
    keeps some of either half.

    Args:
        prompts: text of each problem by its id.
        half: which one.
        seed: of the halves.
    """
    order = sorted(
        set(prompts.values()), key=lambda text: hashlib.sha256(f"half/{seed}/{text}".encode()).digest()
    )
    middle = len(order) // 2
    kept = frozenset(order[:middle] if half == "search" else order[middle:])
    return frozenset(name for name, text in prompts.items() if text in kept)


def load_problems(options: AuditOptions, tokenizer: Any) -> dict[str, Problems]:
    """Everything that the chosen axes may need, by `data_key`.

    Raises:
        DataError: a source cannot be read, a perturbed file does not pair, or answers are missing.
    """
    val = sources.load_examples(options.val)
    grader = options.grader or val.grader
    found = [problems_of("val", "clean", options.val, val.shape, grader, val.examples, options, tokenizer)]
    if "accuracy" in options.axes:
        check_gradable(grader, val.examples, allow_code_execution=options.allow_code_execution)
    if options.train is not None:
        train = sources.load_examples(options.train)
        # As many as val, and at random; training data may be huge.
        few = [
            train.examples[i] for i in subset([e.id for e in train.examples], len(val.examples), options.seed)
        ]
        found.append(
            problems_of("train", "clean", options.train, train.shape, grader, few, options, tokenizer)
        )
    sets = {kind for name in options.axes for kind in all_axes()[name].sets}
    if "ood" in sets:
        found += [_ood(name, source, options, tokenizer) for name, source in options.ood.items()]
    if "references" in sets:
        found += [
            _references(name, source, val.examples, options, tokenizer)
            for name, source in options.references.items()
        ]
    if "variants" in sets and grader != "none":
        found += _variants(val, grader, options, tokenizer)
    if options.half is not None:
        clean = found[0]
        prompts = {e.id: r.prompt_text for e, r in zip(clean.examples, clean.rendered, strict=True)}
        kept = half_of(prompts, options.half, options.seed)
        found = [_only(item, kept) if item.set == "val" else item for item in found]
    return {data_key(item.set, item.variant): item for item in found}


def available(problems: dict[str, Problems], has_base: bool) -> Available:
    """What the axes may ask for."""
    clean = {item.set: item for item in problems.values() if item.variant == "clean"}
    return Available(
        sets=tuple(clean),
        variants=tuple(item.variant for item in problems.values() if item.variant != "clean"),
        graded=frozenset(name for name, item in clean.items() if item.grader != "none"),
        external=frozenset(name for name, item in clean.items() if item.task is not None),
        has_base=has_base,
    )


def _only(problems: Problems, ids: frozenset[str]) -> Problems:
    """Those of the problems whose id is among these; how long answers may be stays as it was."""
    kept = [i for i, example in enumerate(problems.examples) if example.id in ids]
    rendered = tuple(problems.rendered[i] for i in kept)
    return replace(
        problems,
        examples=tuple(problems.examples[i] for i in kept),
        rendered=rendered,
        shas=tuple(problems.shas[i] for i in kept),
        fingerprint=data_fingerprint(rendered),
    )


def _ood(name: str, source: str, options: AuditOptions, tokenizer: Any) -> Problems:
    if is_lm_eval(source):
        return _lm_eval(name, source, tokenizer)
    data = sources.load_examples(source)
    if data.grader == "none" and options.grader != "none":
        raise DataError(
            f"the OOD set `{name}` has no answers",
            got=source,
            expected="an answer in every row",
            next_step="add answers to it, or leave it out",
        )
    grader = "none" if options.grader == "none" else data.grader
    check_gradable(grader, data.examples, allow_code_execution=options.allow_code_execution)
    return problems_of(f"{OOD}{name}", "clean", source, data.shape, grader, data.examples, options, tokenizer)


def _references(
    name: str, source: str, val: Sequence[Example], options: AuditOptions, tokenizer: Any
) -> Problems:
    """References in another style; those to problems of val alone, where there are such, for pairs."""
    data = sources.load_examples(source)
    asked = {(example.id, str(example.prompt)) for example in val}
    same = tuple(example for example in data.examples if (example.id, str(example.prompt)) in asked)
    # They are scored and never asked, so there is nothing to grade.
    return problems_of(
        f"{REFERENCES}{name}", "clean", source, data.shape, "none", same or data.examples, options, tokenizer
    )


def _lm_eval(name: str, source: str, tokenizer: Any) -> Problems:
    task = load_task(source, tokenizer)
    identity = "".join(f"{document.id}={document.sha};" for document in task.documents)
    return Problems(
        set=f"{OOD}{name}",
        variant="clean",
        source=source,
        grader=f"{PREFIX}{task.name}",
        shape=task.shape,
        examples=tuple(
            Example(document.id, document.prompt, document.target, document.target)
            for document in task.documents
        ),
        rendered=tuple(map(_without_tokens, task.documents)),
        shas=tuple(document.sha for document in task.documents),
        fingerprint=hashlib.sha256(identity.encode()).hexdigest(),
        longest_completion=0,
        task=task,
    )


def _without_tokens(document: Document) -> Rendered:
    return Rendered(
        example_id=document.id,
        prompt_ids=(),
        completion_ids=(),
        prompt_text=document.prompt,
        completion_text=document.target,
    )


def _variants(val: sources.LoadedData, grader: str, options: AuditOptions, tokenizer: Any) -> list[Problems]:
    found = []
    asked = dict.fromkeys(VARIANTS) if options.variants is None else options.variants
    for name, source in asked.items():
        if source is not None:
            perturbed = sources.load_examples(source)
            if perturbed.numbered and len(perturbed.examples) != len(val.examples):
                raise DataError(
                    f"the rows of the variant `{name}` cannot be paired",
                    got=f"{len(perturbed.examples)} rows without `id`, and {len(val.examples)} of val",
                    expected="the `id` of its clean problem in each row, or all rows of val in their order",
                    next_step="add the ids; a val without ids has the number of the row, from 0",
                )
            examples = pair_variant(name, val.examples, perturbed.examples)
            shape = perturbed.shape
            found.append(problems_of("val", name, source, shape, grader, examples, options, tokenizer))
            continue
        try:
            examples = perturb_all(val.examples, name, options.seed)
        except DataError:
            # Not asked for by name, and it has nothing to change here: numbers of a fixed data set.
            if options.variants is None:
                continue
            raise
        found.append(problems_of("val", name, options.val, val.shape, grader, examples, options, tokenizer))
    return found


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
    rendered = tuple(render(example, tokenizer, options.template) for example in examples)
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
    )


def render_first(options: AuditOptions, tokenizer: Any) -> tuple[sources.LoadedData, Rendered]:
    """The first val example as the model sees it."""
    data = sources.load_examples(options.val)
    template: Template = options.template
    return data, render(data.examples[0], tokenizer, template)
