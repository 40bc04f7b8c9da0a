"""Results of several checkpoints in line: the same task, version, prompts and problems, or a refusal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import polars as pl

from overmem.artifacts.manifest_parts.imported import Score
from overmem.errors import DataError
from overmem.formatting import joined
from overmem.results.record import Result


@dataclass(frozen=True, kw_only=True)
class Paired:
    """Results of several checkpoints that may be compared."""

    task: str
    metric: str
    rows: Mapping[str, pl.DataFrame]
    """By checkpoint, columns of `SAMPLES`; empty where scores are all there is."""
    scores: Mapping[str, Score]
    """By checkpoint, where some kept no samples."""
    has_likelihood: bool
    """Whether every sample of every checkpoint has an NLL."""
    notes: tuple[str, ...]


def pair_results(found: Mapping[str, Mapping[str, Result]], task: str | None) -> Paired:
    """Choose the task and check that all checkpoints did the same.

    Args:
        found: results by checkpoint and task.
        task: name or pattern of the tasks whose answers count, pooled; the only one by default.

    Raises:
        DataError: several tasks and none is named, one that a checkpoint lacks, other versions, shots,
            templates, prompts or problems.
    """
    names = _tasks(found, task)
    references = _references(found, names)
    for name in (*names, *references):
        _check_settings({model: tasks[name] for model, tasks in found.items() if name in tasks}, name)
    metric = joined(sorted({found[model][name].metric for model in found for name in names}))
    notes = list(dict.fromkeys(note for tasks in found.values() for n in names for note in tasks[n].notes))
    label = task or joined(names)
    chosen = {model: [tasks[name] for name in names] for model, tasks in found.items()}
    if any(result.samples is None for results in chosen.values() for result in results):
        if any(result.samples is not None for results in chosen.values() for result in results):
            notes.append("some checkpoints have no samples, so none is paired; log them all (--log_samples)")
        scores = {model: _pooled_score(results) for model, results in chosen.items()}
        return Paired(
            task=label, metric=metric, rows={}, scores=scores, has_likelihood=False, notes=tuple(notes)
        )
    rows = {model: _pooled_rows(results) for model, results in chosen.items()}
    _check_problems(rows)
    kept = _in_common(_graded(rows, notes), notes)
    with_nll = _with_likelihood(kept, found, references, notes)
    has = all(not table["nll_nats"].null_count() for table in with_nll.values())
    return Paired(task=label, metric=metric, rows=with_nll, scores={}, has_likelihood=has, notes=tuple(notes))


def _tasks(found: Mapping[str, Mapping[str, Result]], task: str | None) -> list[str]:
    """Tasks whose answers count, which every checkpoint did."""
    answered = {
        name
        for tasks in found.values()
        for name, result in tasks.items()
        if result.score is not None or result.has_some("correct")
    }
    chosen = sorted(name for name in answered if task is None or fnmatchcase(name, task))
    if not chosen:
        raise DataError(
            "no result says whether answers are right" if task is None else "no such task in the results",
            got=task,
            expected=f"some of {', '.join(sorted(answered))}" if answered else "a task with answers",
            next_step="" if answered else "name the figure with --metric, as the tool writes it",
        )
    if task is None and len(chosen) > 1:
        raise DataError(
            "the results are of several tasks, and a verdict is on one",
            got=", ".join(chosen[:12]),
            expected="--task NAME, or --task 'mmlu_*' to pool them",
        )
    for model, tasks in found.items():
        lacking = [name for name in chosen if name not in tasks]
        if lacking:
            raise DataError(
                f"{model} has no results of {joined(lacking[:5])}",
                got=", ".join(sorted(tasks)) or "none",
                next_step="evaluate it on the same tasks, or import without it",
            )
    return chosen


def _references(found: Mapping[str, Mapping[str, Result]], answered: Sequence[str]) -> list[str]:
    """Tasks beside them that score references alone, which every checkpoint did."""
    shared = set.intersection(*(set(tasks) for tasks in found.values())) - set(answered)
    return sorted(name for name in shared if all(tasks[name].has("nll_nats") for tasks in found.values()))


def _check_settings(results: Mapping[str, Result], task: str) -> None:
    """Refuse other versions of a task, other numbers of shots and the like."""
    (first, one), *others = results.items()
    for model, other in others:
        if other.metric != one.metric:
            raise _differs(task, "metric", first, one.metric, model, other.metric)
        for key in dict.fromkeys([*one.settings, *other.settings]):
            a, b = one.settings.get(key, "unknown"), other.settings.get(key, "unknown")
            if a != b:
                raise _differs(task, key, first, a, model, b)


def _differs(task: str, what: str, first: str, a: str, second: str, b: str) -> DataError:
    return DataError(
        f"{task} was not the same task at {first} and {second}: another {what}",
        got=f"{a:.80} and {b:.80}",
        expected="one release of the task, with the same shots and template, for all checkpoints",
        next_step="evaluate them again with one command, or import those that agree",
    )


def _pooled_score(results: Sequence[Result]) -> Score:
    scores = [
        result.score
        if result.score is not None
        else Score(accuracy=float(result.samples["correct"].mean() or 0.0), n=len(result.samples))  # type: ignore[arg-type, index]
        for result in results
    ]
    n = sum(score.n for score in scores)
    return Score(accuracy=sum(score.accuracy * score.n for score in scores) / n, n=n)


def _pooled_rows(results: Sequence[Result]) -> pl.DataFrame:
    """Samples of one checkpoint, ids after their task's name where several are pooled."""
    tables = []
    for result in results:
        assert result.samples is not None
        of = "" if len(results) == 1 else f"{result.task}/"
        tables.append(result.samples.with_columns(id=pl.lit(of) + pl.col("id")))
    return pl.concat(tables).sort("id")


def _check_problems(rows: Mapping[str, pl.DataFrame]) -> None:
    """Refuse ids that are other problems, or were asked in other words, at two checkpoints."""
    (first, one), *others = rows.items()
    for model, other in others:
        both = one.join(other, on="id", suffix="_other")
        for column, what in (("sha", "problems"), ("asked", "prompts")):
            wrong = both.filter(pl.col(column) != pl.col(f"{column}_other"))
            if len(wrong):
                raise DataError(
                    f"{len(wrong)} of {len(both)} {what} differ between {first} and {model}",
                    got=f"{what[:-1]} {wrong['id'][0]}",
                    expected="the same data, shots and chat template for all checkpoints",
                    next_step="evaluate them again with one command, or import those that agree",
                )


def _graded(rows: Mapping[str, pl.DataFrame], notes: list[str]) -> dict[str, pl.DataFrame]:
    """The rows whose answer was found right or wrong; an evaluation that failed at a sample has neither."""
    found = {}
    for model, table in rows.items():
        found[model] = table.drop_nulls("correct")
        if not len(found[model]):
            raise DataError(
                f"no answer of {model} has a grade that can be read",
                got=f"{len(table)} samples",
                expected="a figure between 0 and 1 for each",
                next_step="name the figure with --metric, as the tool writes it, or evaluate it again",
            )
        if lacking := len(table) - len(found[model]):
            notes.append(
                f"{lacking:,} of {len(table):,} answers of {model} lack a grade: left out with their problems"
            )
    return found


def _in_common(rows: Mapping[str, pl.DataFrame], notes: list[str]) -> dict[str, pl.DataFrame]:
    """The rows of the problems that all checkpoints have."""
    shared = set.intersection(*(set(table["id"]) for table in rows.values()))
    most = max(len(table) for table in rows.values())
    if not shared:
        raise DataError(
            "the checkpoints have no problem in common",
            got=", ".join(f"{model}: {len(table)}" for model, table in rows.items()),
            expected="samples of the same problems, paired by their ids and hashes",
        )
    if len(shared) < most:
        notes.append(f"{len(shared):,} of {most:,} problems were asked at every checkpoint and are compared")
    return {model: table.filter(pl.col("id").is_in(list(shared))) for model, table in rows.items()}


def _with_likelihood(
    rows: Mapping[str, pl.DataFrame],
    found: Mapping[str, Mapping[str, Result]],
    references: Sequence[str],
    notes: list[str],
) -> dict[str, pl.DataFrame]:
    """The rows with the NLL that another task measured of the same problems, where theirs have none."""
    if all(not table["nll_nats"].null_count() for table in rows.values()):
        return dict(rows)
    for name in references:
        tables = {model: found[model][name].samples for model in rows}
        joint = {model: _joined(rows[model], tables[model]) for model in rows}
        n = min(len(table) for table in joint.values())
        if n and len({tuple(table["id"]) for table in joint.values()}) == 1:
            if n < len(next(iter(rows.values()))):
                notes.append(f"{n:,} of the problems have an NLL ({name}) and are compared")
            return joint
        notes.append(f"{name} scores other problems than were answered, so it is left out")
    return dict(rows)


def _joined(answers: pl.DataFrame, scored: pl.DataFrame | None) -> pl.DataFrame:
    """Answers with the NLL of the same problem: that of the same hash, the first where one stands twice."""
    assert scored is not None
    kept = ["sha", "nll_nats", "n_tokens", "completion"]
    theirs = scored.unique("sha", keep="first", maintain_order=True).select(kept)
    mine = answers.drop("nll_nats", "n_tokens", "completion")
    return mine.join(theirs, on="sha", how="inner").select(answers.columns).sort("id")
