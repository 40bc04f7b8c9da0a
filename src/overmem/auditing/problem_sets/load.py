"""Load the sets that the chosen axes need: val, train, OOD sets, perturbed val and those beside the task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from overmem.artifacts.jobs import OOD, REFERENCES, RETENTION, data_key
from overmem.artifacts.rows import subset
from overmem.auditing.made_sets.retention_sets import as_asked_before, default_retention
from overmem.auditing.options import AuditOptions
from overmem.auditing.problem_sets.halves import half_of, keep_ids
from overmem.auditing.problem_sets.lm_eval_sets import lm_eval_problems
from overmem.auditing.problem_sets.problems import Problems, problems_of
from overmem.axes import all_axes
from overmem.axes.privacy.exposure import CANARIES, CANDIDATES
from overmem.errors import DataError
from overmem.grading.choose import choose_grader, gradable, why_ungradable
from overmem.grading.grade import check_gradable
from overmem.models.lm_eval.names import is_lm_eval
from overmem.perturbations import VARIANTS, pair_variant, perturb_all
from overmem.recipe.canaries import CANDIDATES as CANDIDATE_FILE
from overmem.recipe.canaries import INSERTED
from overmem.records import Example
from overmem.rendering.decoded import decoded
from overmem.tasks import sources


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
        found = [keep_ids(item, kept) if item.set == "val" else item for item in found]
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
        return lm_eval_problems(f"{OOD}{name}", source, tokenizer)
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
        return lm_eval_problems(f"{RETENTION}{name}", source, tokenizer)
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
