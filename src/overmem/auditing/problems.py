"""The problems of an audit as the model sees them: val, train, OOD sets and perturbed val.

An OOD set may also be a task of lm-evaluation-harness, which renders, asks and judges it by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from overmem.artifacts.evidence import joined_labels
from overmem.artifacts.jobs import OOD, REFERENCES, RETENTION, data_key
from overmem.artifacts.rows import subset
from overmem.auditing.made_sets.retention_sets import as_asked_before, default_retention
from overmem.auditing.options import AuditOptions, Half
from overmem.axes import all_axes
from overmem.axes.axis import Available
from overmem.axes.privacy.exposure import CANARIES, CANDIDATES
from overmem.errors import DataError
from overmem.grading.choose import choose_grader, gradable, why_ungradable
from overmem.grading.grade import check_gradable, get_grader, grade, grading_key
from overmem.models.lm_eval.names import PREFIX, is_lm_eval
from overmem.models.lm_eval.tasks import Document, LmEvalTask, load_task
from overmem.perturbations import VARIANTS, pair_variant, perturb_all
from overmem.recipe.canaries import CANDIDATES as CANDIDATE_FILE
from overmem.recipe.canaries import INSERTED
from overmem.records import Example
from overmem.rendering.decoded import decoded
from overmem.rendering.proof import warnings_of_all
from overmem.rendering.render import render_all
from overmem.rendering.rendered import Rendered, data_fingerprint, fingerprint
from overmem.tasks import sources


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


def half_of(
    prompts: Mapping[str, str], half: Half, seed: int, groups: Mapping[str, str] | None = None
) -> frozenset[str]:
    """Ids of one of two random halves of the problems: `search`, where things are chosen, or `confirm`.

    Problems of one wording or one group fall into one half, whatever their ids. Independent of `subset`, so
    that a limit keeps some of either half.

    Args:
        prompts: text of each problem by its id.
        half: which one.
        seed: of the halves.
        groups: label of each problem by its id, equal for those that stand for one another; a problem that is
            not named stands alone.
    """
    if groups:
        joined = joined_labels([prompts, {name: groups[name] for name in prompts if name in groups}])
        first: dict[str, str] = {}
        for name, root in joined.items():
            first[root] = min(prompts[name], first.get(root, prompts[name]))
        prompts = {name: first[root] for name, root in joined.items()}
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
    val = load_data(options.val, tokenizer, options.columns)
    grader = options.grader or val.grader
    asked = val
    if "accuracy" in options.axes:
        asked = _gradable_only(val, grader)
        check_gradable(grader, asked.examples, allow_code_execution=options.allow_code_execution)
    found = [
        problems_of("val", "clean", options.val, asked.shape, grader, asked.examples, options, tokenizer)
    ]
    if options.train is not None:
        train = load_data(options.train, tokenizer, options.columns)
        # As many as val, and at random, unless all are asked for; training data may be huge.
        most = None if options.all_train else len(val.examples)
        few = [train.examples[i] for i in subset([e.id for e in train.examples], most, options.seed)]
        drawn = problems_of("train", "clean", options.train, train.shape, grader, few, options, tokenizer)
        found.append(replace(drawn, drawn_from=train.examples))
    sets = {kind for name in options.axes for kind in all_axes()[name].sets}
    if "canaries" in sets and options.canaries is not None:
        found += _canaries(Path(options.canaries), options, tokenizer)
    if "ood" in sets:
        found += [_ood(name, source, options, tokenizer) for name, source in options.ood.items()]
    if "references" in sets:
        found += [
            _references(name, source, asked.examples, options, tokenizer)
            for name, source in options.references.items()
        ]
    if "retention" in sets:
        named = {**default_retention(tokenizer), **options.retention}
        found += [_retention(name, source, options, tokenizer) for name, source in named.items()]
    if "variants" in sets and grader != "none":
        found += _variants(val, asked, grader, options, tokenizer)
    if options.half is not None:
        clean = found[0]
        prompts = {e.id: r.prompt_text for e, r in zip(clean.examples, clean.rendered, strict=True)}
        kept = half_of(prompts, options.half, options.seed, options.groups)
        found = [_only(item, kept) if item.set == "val" else item for item in found]
    return {data_key(item.set, item.variant): item for item in found}


def load_data(source: str, tokenizer: Any, columns: str | None = None) -> sources.LoadedData:
    """A source's examples, those of tokenized rows with their text.

    Args:
        source: names the data.
        tokenizer: of the run.
        columns: which columns ask and answer, where rows do not say.

    Raises:
        DataError: the data cannot be read, or were tokenized by another tokenizer.
    """
    found = sources.load_examples(source, columns)
    if not any(example.tokens is not None for example in found.examples):
        return found
    examples = decoded(found.examples, tokenizer)
    return replace(found, examples=examples, grader=choose_grader(examples).grader)


def _gradable_only(data: sources.LoadedData, grader: str) -> sources.LoadedData:
    """The data without the rows that cannot be graded, and said so; all of them where none can be."""
    can = gradable(grader, data.examples)
    if all(can) or not any(can):
        return data
    left_out = [example for example, on in zip(data.examples, can, strict=True) if not on]
    why = f"{len(left_out)} rows left out, which cannot be graded: {why_ungradable(grader, left_out[0])}"
    kept = tuple(example for example, on in zip(data.examples, can, strict=True) if on)
    return replace(data, examples=kept, shape=f"{data.shape}; {why}")


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


def _canaries(folder: Path, options: AuditOptions, tokenizer: Any) -> list[Problems]:
    """Canaries that were put into the training data, and candidates that were not; scored, never asked."""
    files = {CANARIES: folder / INSERTED, CANDIDATES: folder / CANDIDATE_FILE}
    loaded = {name: (str(file), load_data(str(file), tokenizer)) for name, file in files.items()}
    return [
        problems_of(name, "clean", source, data.shape, "none", data.examples, options, tokenizer)
        for name, (source, data) in loaded.items()
    ]


def _ood(name: str, source: str, options: AuditOptions, tokenizer: Any) -> Problems:
    if is_lm_eval(source):
        return _lm_eval(f"{OOD}{name}", source, tokenizer)
    data = load_data(source, tokenizer)
    if data.grader == "none" and options.grader != "none":
        raise DataError(
            f"the OOD set `{name}` has no answers",
            got=source,
            expected="an answer in every row",
            next_step="add answers to it, or leave it out",
        )
    grader = "none" if options.grader == "none" else data.grader
    data = _gradable_only(data, grader)
    check_gradable(grader, data.examples, allow_code_execution=options.allow_code_execution)
    return problems_of(f"{OOD}{name}", "clean", source, data.shape, grader, data.examples, options, tokenizer)


def _references(
    name: str, source: str, val: Sequence[Example], options: AuditOptions, tokenizer: Any
) -> Problems:
    """References in another style; those to problems of val alone, where there are such, for pairs."""
    data = load_data(source, tokenizer)
    asked = {(example.id, str(example.prompt)) for example in val}
    same = tuple(example for example in data.examples if (example.id, str(example.prompt)) in asked)
    # They are scored and never asked, so there is nothing to grade.
    return problems_of(
        f"{REFERENCES}{name}", "clean", source, data.shape, "none", same or data.examples, options, tokenizer
    )


def _retention(name: str, source: str, options: AuditOptions, tokenizer: Any) -> Problems:
    """Prompts beside the task, asked as the base model was asked before there was a task."""
    if is_lm_eval(source):
        return _lm_eval(f"{RETENTION}{name}", source, tokenizer)
    data = load_data(source, tokenizer)
    grader = "none" if options.grader == "none" else data.grader
    check_gradable(grader, data.examples, allow_code_execution=options.allow_code_execution)
    return problems_of(
        f"{RETENTION}{name}",
        "clean",
        source,
        data.shape,
        grader,
        data.examples,
        options.replace(template=as_asked_before(options.template, tokenizer)),
        tokenizer,
    )


def _lm_eval(name: str, source: str, tokenizer: Any) -> Problems:
    task = load_task(source, tokenizer)
    identity = "".join(f"{document.id}={document.sha};" for document in task.documents)
    return Problems(
        set=name,
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


def _variants(
    val: sources.LoadedData,
    asked: sources.LoadedData,
    grader: str,
    options: AuditOptions,
    tokenizer: Any,
) -> list[Problems]:
    """Perturbed val: all rows of `val` are paired with, those of `asked` are kept."""
    found = []
    wanted = dict.fromkeys(VARIANTS) if options.variants is None else options.variants
    ids = {example.id for example in asked.examples}
    for name, source in wanted.items():
        if source is not None:
            perturbed = load_data(source, tokenizer, options.columns)
            if perturbed.numbered and len(perturbed.examples) != len(val.examples):
                raise DataError(
                    f"the rows of the variant `{name}` cannot be paired",
                    got=f"{len(perturbed.examples)} rows without `id`, and {len(val.examples)} of val",
                    expected="the `id` of its clean problem in each row, or all rows of val in their order",
                    next_step="add the ids; a val without ids has the number of the row, from 0",
                )
            paired = pair_variant(name, val.examples, perturbed.examples)
            examples = tuple(example for example in paired if example.id in ids)
            shape = perturbed.shape
            found.append(problems_of("val", name, source, shape, grader, examples, options, tokenizer))
            continue
        try:
            examples = perturb_all(asked.examples, name, options.seed)
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


def said_of(problems: Mapping[str, Problems]) -> tuple[str, ...]:
    """What each set was read as, and what speaks against its tokens, a line each."""
    lines = []
    for name, item in problems.items():
        lines.append(
            f"{name}: {item.source}: {item.shape}; {len(item.examples)} examples, grader {item.grader}"
        )
        lines += [f"warning: {text}" for text in item.warnings]
    return tuple(lines)
