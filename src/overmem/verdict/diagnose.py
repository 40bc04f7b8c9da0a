"""A run's verdict: of its audit, or of its training log alone where it was never audited.

What reads the rows of an audit is imported when there are some, so that a log is judged before any array is
imported.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from overmem.artifacts.run_records import RunRecords, is_unaudited
from overmem.errors import ArtifactError, RunError
from overmem.keywords import names_its_keywords
from overmem.logs.reading import is_run_folder
from overmem.records import Verdict
from overmem.rule import DEFAULT_RULE, Rule
from overmem.verdict.logged import read_logged
from overmem.verdict.words.narrative import plain_words

if TYPE_CHECKING:
    from overmem.artifacts.manifest import Manifest
    from overmem.artifacts.store import Store


@runtime_checkable
class AuditLike(Protocol):
    """An `overmem.auditing.run.Audit`, named by what is needed of it."""

    @property
    def store(self) -> Store: ...  # noqa: D102


@names_its_keywords
def diagnose(audit: AuditLike | str | Path, rule: Rule = DEFAULT_RULE, *, save: bool = True) -> Verdict:
    """Name the stage of every checkpoint of an audited run and recommend one.

    A run that was never audited is read from its `trainer_state.json` alone; its verdict says so
    (`evidence` is `logged`) and never gives a stage.

    An `overmem.yaml` in the folder is read by the command line alone; `rule` is what counts here.

    Args:
        audit: an audit, the run's folder, the artifact folder that an audit wrote elsewhere, or a training
            log; see `overmem.logs.reading`.
        rule: thresholds of the verdict.
        save: write the verdict to `verdict.json`; the verdict of a log alone is never written.

    Returns:
        The verdict.

    Raises:
        OvermemError: no audit and no log, damaged artifacts, or fewer than two checkpoints measured.
    """
    if isinstance(audit, str | Path) and is_unaudited(Path(audit)):
        verdict, save = read_logged(Path(audit), rule), save and is_run_folder(Path(audit))
        records = RunRecords.of_run(Path(audit))
    else:
        from overmem.verdict.audited.judged import judge_store

        store = find_store(Path(audit)) if isinstance(audit, str | Path) else audit.store
        verdict, records = judge_store(store, rule), store
        if isinstance(audit, str | Path):
            verdict = note_changes(verdict, Path(audit), store)
    if save and (why := save_verdict(verdict, records)) is not None:
        raise ArtifactError("the verdict cannot be saved", got=why, next_step="pass save=False to do without")
    return verdict


def save_verdict(verdict: Verdict, records: RunRecords) -> str | None:
    """Write `verdict.json`; returns why not where the folder may only be read."""
    return records.save_record("verdict", verdict.to_dict())


def note_changes(verdict: Verdict, run_path: Path, store: Store) -> Verdict:
    """A verdict that says what of the run's folder changed since its audit."""
    from overmem.verdict.warnings.staleness import staleness_notes

    changed = [note for note in staleness_notes(run_path, store) if note not in verdict.notes]
    if not changed:
        return verdict
    verdict = dataclasses.replace(verdict, notes=(*verdict.notes, *changed))
    return dataclasses.replace(verdict, words=plain_words(verdict))


def find_store(run_path: Path) -> Store:
    """The artifacts of a run folder, which may hold none yet.

    Raises:
        RunError: there is no such folder.
    """
    if not run_path.is_dir():
        raise RunError("the run folder does not exist", got=run_path, next_step="check the path")
    from overmem.artifacts.store import Store

    return Store.of_run(run_path)


def open_audit(run_path: Path) -> tuple[Store, Manifest]:
    """The artifacts of an audited run and its manifest.

    Raises:
        OvermemError: no such folder, or it was never audited.
    """
    from overmem.artifacts.manifest import read_manifest

    store = find_store(run_path)
    return store, read_manifest(store)
