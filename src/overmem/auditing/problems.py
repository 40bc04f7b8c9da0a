"""The problems of an audit as the model sees them: val, train, OOD sets and perturbed val.

An OOD set may also be a task of lm-evaluation-harness, which renders, asks and judges it by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from overmem.artifacts.jobs import data_key
from overmem.auditing.options import AuditConfig, Half
from overmem.axes.axis import Available
from overmem.errors import DataError
from overmem.grading.grade import check_gradable, get_grader, grade, grading_key
from overmem.models.lm_eval.tasks import PREFIX, Document, LmEvalTask, is_lm_eval, load_task
from overmem.perturbations import VARIANTS, pair_variant, perturb_all
from overmem.records import Example
from overmem.tasks import sources
from overmem.tasks.template import Rendered, Template, data_fingerprint, fingerprint, render

OOD, REFERENCES = "ood/", "references/"
"""Prefixes of the names of OOD sets, and of references by other hands."""


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


def load_problems(config: AuditConfig, tokenizer: Any) -> dict[str, Problems]:
    """Everything that the chosen axes may need, by `data_key`.

    Raises:
        DataError: a source cannot be read, a perturbed file does not pair, or answers are missing.
    """
    val = sources.load_examples(config.val)
    grader = config.grader or val.grader
    found = [problems_of("val", "clean", config.val, val.shape, grader, val.examples, config, tokenizer)]
    if "accuracy" in config.axes:
        check_gradable(grader, val.examples, allow_code_execution=config.allow_code_execution)
    if config.train is not None:
        train = sources.load_examples(config.train)
        # As many as val, and at random; training data may be huge.
        few = [
            train.examples[i] for i in subset([e.id for e in train.examples], len(val.examples), config.seed)
        ]
        found.append(problems_of("train", "clean", config.train, train.shape, grader, few, config, tokenizer))
    if "ood" in config.axes:
        found += [_ood(name, source, config, tokenizer) for name, source in config.ood.items()]
    if "references" in config.axes:
        found += [
            _references(name, source, val.examples, config, tokenizer)
            for name, source in config.references.items()
        ]
    if "robustness" in config.axes and grader != "none":
        found += _variants(val, grader, config, tokenizer)
    if config.half is not None:
        clean = found[0]
        prompts = {e.id: r.prompt_text for e, r in zip(clean.examples, clean.rendered, strict=True)}
        kept = half_of(prompts, config.half, config.seed)
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


def _ood(name: str, source: str, config: AuditConfig, tokenizer: Any) -> Problems:
    if is_lm_eval(source):
        return _lm_eval(name, source, tokenizer)
    data = sources.load_examples(source)
    if data.grader == "none" and config.grader != "none":
        raise DataError(
            f"the OOD set `{name}` has no answers",
            got=source,
            expected="an answer in every row",
            next_step="add answers to it, or leave it out",
        )
    grader = "none" if config.grader == "none" else data.grader
    check_gradable(grader, data.examples, allow_code_execution=config.allow_code_execution)
    return problems_of(f"{OOD}{name}", "clean", source, data.shape, grader, data.examples, config, tokenizer)


def _references(
    name: str, source: str, val: Sequence[Example], config: AuditConfig, tokenizer: Any
) -> Problems:
    """References by another hand; those to problems of val alone, where there are such, for pairs."""
    data = sources.load_examples(source)
    asked = {(example.id, str(example.prompt)) for example in val}
    same = tuple(example for example in data.examples if (example.id, str(example.prompt)) in asked)
    # They are scored and never asked, so there is nothing to grade.
    return problems_of(
        f"{REFERENCES}{name}", "clean", source, data.shape, "none", same or data.examples, config, tokenizer
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


def _variants(val: sources.LoadedData, grader: str, config: AuditConfig, tokenizer: Any) -> list[Problems]:
    found = []
    asked = dict.fromkeys(VARIANTS) if config.variants is None else config.variants
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
            found.append(problems_of("val", name, source, shape, grader, examples, config, tokenizer))
            continue
        try:
            examples = perturb_all(val.examples, name, config.seed)
        except DataError:
            # Not asked for by name, and it has nothing to change here: numbers of a fixed data set.
            if config.variants is None:
                continue
            raise
        found.append(problems_of("val", name, config.val, val.shape, grader, examples, config, tokenizer))
    return found


def problems_of(
    set_name: str,
    variant: str,
    source: str,
    shape: str,
    grader: str,
    examples: Sequence[Example],
    config: AuditConfig,
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
        config: of the audit, whose template renders them.
        tokenizer: of the run.
    """
    rendered = tuple(render(example, tokenizer, config.template) for example in examples)
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
        longest_completion=max(len(item.completion_ids) for item in rendered),
        allow_code_execution=config.allow_code_execution,
    )


def render_first(config: AuditConfig, tokenizer: Any) -> tuple[sources.LoadedData, Rendered]:
    """The first val example as the model sees it."""
    data = sources.load_examples(config.val)
    template: Template = config.template
    return data, render(data.examples[0], tokenizer, template)
