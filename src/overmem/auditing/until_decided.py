"""Measure ever more problems, in a random order, until the rest would not change the verdict.

A round measures the first n problems at every checkpoint; then the verdict is looked at (`sequential`),
and the next round adds to the rows that are there. What remains is an ordinary audit of the first n
problems: without the option, a later audit adds the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from overmem.artifacts.jobs import VAL_ANSWERS
from overmem.artifacts.manifest import Manifest
from overmem.artifacts.rows import read_core
from overmem.auditing.executor import Executor
from overmem.auditing.manifest_writer import ManifestWriter
from overmem.auditing.planning.plan import Plan
from overmem.auditing.session import Session
from overmem.formatting import confidence_text
from overmem.verdict.sequential import MOST_CHANCE, Look, look_at

MeasureCore = Callable[[Executor, Plan, ManifestWriter, dict[str, str]], Manifest]
"""Does the plan's core at every checkpoint that is not skipped; returns the manifest."""


def measure_until_decided(
    executor: Executor,
    plan: Plan,
    manifest_writer: ManifestWriter,
    skipped: dict[str, str],
    measure_core: MeasureCore,
) -> Manifest:
    """Measure the core in rounds until the verdict is decided, or all of it is measured.

    Args:
        executor: does the work of a round.
        plan: that asks for it.
        manifest_writer: told after every round how far it has come.
        skipped: gains the checkpoints that cannot be measured.
        measure_core: does one round.

    Returns:
        The manifest, whose `until_decided` says what was skipped.
    """
    session = executor.session
    *early, n_all = plan.looks
    looks: list[Look] = []
    manifest_writer.until_decided = _stopping(looks, 0, n_all)
    for n in early[_rounds_done(session, plan, skipped) :]:
        manifest = measure_core(executor, plan.of_first(n), manifest_writer, skipped)
        if len(manifest.checkpoints) < 2:
            break
        look = _look(session, manifest, n, n_all)
        looks.append(look)
        manifest_writer.until_decided = _stopping(looks, n, n_all)
        said = "decided" if look.decided else f"not decided ({_why(look)})"
        session.progress(f"after {n} problems", said, n, n_all)
        if look.decided:
            return manifest_writer.write(skipped, [])
    measure_core(executor, plan, manifest_writer, skipped)
    manifest_writer.until_decided = _stopping(looks, n_all, n_all)
    return manifest_writer.write(skipped, [])


def _rounds_done(session: Session, plan: Plan, skipped: Mapping[str, str]) -> int:
    """How many looks to pass over, since the rows for the next one are there too, from an earlier sitting."""
    places = [checkpoint for checkpoint in session.run.checkpoints if checkpoint.name not in skipped]

    def is_done(n: int) -> bool:
        limits = plan.of_first(n).limits
        return not any(session.missing(job, place, limits[job])[0] for place in places for job in plan.core)

    done = 0
    while done + 1 < len(plan.looks) and is_done(plan.looks[done + 1]):
        done += 1
    return done


def _look(session: Session, manifest: Manifest, n: int, n_all: int) -> Look:
    """Judge the first n problems alone, whatever else is measured."""
    core = read_core(session.store, manifest)
    problems = session.problems[VAL_ANSWERS.data]
    first = {problems.examples[i].id for i in problems.chosen(n, session.options.seed)}
    left_out = set(manifest.left_out_of(VAL_ANSWERS.set))
    skipped = sum(problems.examples[i].id in left_out for i in problems.chosen(n_all, session.options.seed))
    seen = [position for position, name in enumerate(core.ids) if name in first]
    return look_at(
        np.array([checkpoint.step for checkpoint in manifest.checkpoints]),
        core.correct_C_N[:, seen],
        core.nll_nats_C_N[:, seen],
        core.n_tokens_N[seen],
        n_all=n_all - skipped,
        rule=session.options.rule,
        group=None if core.group_N is None else [core.group_N[position] for position in seen],
    )


def _stopping(looks: Sequence[Look], n: int, n_all: int) -> dict[str, Any]:
    """The manifest's `until_decided`: measured so far, and what each look said."""
    return {
        "decided": bool(looks) and looks[-1].decided,
        "problems": n,
        "of": n_all,
        "most_chance": MOST_CHANCE,
        "looks": [look.to_dict() for look in looks],
    }


def _why(look: Look) -> str:
    if math.isnan(look.chance_of_change):
        return "the run's own stage is undetermined"
    return f"a stage may change: {confidence_text(look.chance_of_change)}"
