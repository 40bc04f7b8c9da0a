"""From saved artifacts to the report; the only module of `reporting` that knows where they lie."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from overmem.artifacts.evidence import Evidence, MeasuredCheckpoint, align_evidence
from overmem.artifacts.files import named_output, write_text_atomic
from overmem.artifacts.jobs import Job
from overmem.artifacts.manifest import Manifest, read_manifest
from overmem.artifacts.run_records import READ_ONLY, is_unaudited
from overmem.artifacts.store import Store
from overmem.artifacts.tables import TEXTS
from overmem.boundary import real_path
from overmem.contamination.record import Contamination, read_contamination
from overmem.errors import ArtifactError, RunError
from overmem.keywords import names_its_keywords
from overmem.logs.reading import is_run_folder
from overmem.memorized.ranking import MemorizedRows, rank_training_rows
from overmem.records import REPAIR_SCHEMA, VERDICT_SCHEMA, Repair, Verdict
from overmem.reporting.exhibits.build import (
    JOBS,
    Exhibits,
    build_exhibits,
    build_training_rows,
    compared_checkpoints,
)
from overmem.reporting.exhibits.split import load_tokenizer, special_tokens
from overmem.reporting.html import render_report
from overmem.reporting.json_report import json_report
from overmem.reporting.markdown import markdown_report
from overmem.reporting.problems.training_rows import TrainingRows
from overmem.reporting.problems.val_problems import ValProblems, val_problems
from overmem.reporting.provenance import audit_command
from overmem.verdict.diagnose import diagnose, note_changes

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Record = Mapping[str, Any]
Format = Literal["html", "md", "json"]
FORMATS: tuple[str, ...] = get_args(Format)


@dataclass(frozen=True, kw_only=True)
class Saved:
    """What is saved of a run, as the formats need it."""

    run: str
    """The run's folder as it was named."""
    title: str
    store: Store
    verdict: Verdict
    manifest: Manifest | None
    repair: Repair | None
    repair_is_old: bool
    """Whether there is a repair, of an audit of other weights or problems."""
    exhibits: Exhibits | None
    contamination: Contamination | None = None
    problems: ValProblems | None = None
    training: TrainingRows | None = None


@names_its_keywords
def report(run: str | Path, *, out: str | Path | None = None, format: str = "html") -> Path:
    """Write the report of a run; a run without a verdict is diagnosed first.

    Args:
        run: run folder, the artifact folder that an audit wrote elsewhere, or a training log.
        out: file to write; by default `report.html`, `report.md` or `report.json` in the folder of results,
            and `NAME-report.html` beside a log without a run folder.
        format: `html` (one self-contained page), `md` (for a pull request or model card) or `json`
            (the verdict and the exhibits' data).

    Returns:
        The file written.

    Raises:
        OvermemError: no such folder, an unknown format, or artifacts that are missing or damaged.
    """
    named = None if out is None or format not in FORMATS else named_output(out, f".{format}")
    text = render(run, format=format)
    target = named or default_target(Path(run), format)
    try:
        write_text_atomic(target, text)
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
        raise ArtifactError(
            "the report cannot be written",
            got=f"{target} ({error.strerror})",
            next_step=f"name another place: --out report.{format}",
        ) from None
    return target


def default_target(run: Path, format: str) -> Path:
    """Where a report goes: among the run's artifacts, or beside a log that is no run's folder."""
    if is_unaudited(run) and not is_run_folder(run):
        return real_path(run).parent / f"{real_path(run).stem}-report.{format}"
    return Store.of_run(run).root / f"report.{format}"


def print_or_write(run: str | Path, *, out: str | Path | None = None, format: str = "html") -> Path | None:
    """Write a report, or print it where `out` is `-`; the file written, or None.

    Raises:
        OvermemError: as `report`, and when a page is to be printed.
    """
    if out is None or str(out) != "-":
        return report(run, out=out, format=format)
    if format == "html":
        raise RunError(
            "a page of several megabytes is not printed",
            got="--out -",
            expected="--out FILE, or --format md or json",
        )
    sys.stdout.write(render(run, format=format))
    return None


def render(run: str | Path, *, format: str = "html") -> str:
    """The report as a string; see `report`."""
    if format not in FORMATS:
        raise RunError("unknown format of a report", got=format, expected=", ".join(FORMATS))
    saved = read_saved(run, with_exhibits=format != "md", with_lists=format == "html")
    if format == "md":
        return markdown_report(saved.verdict, saved.manifest, saved.repair, title=saved.title, run=saved.run)
    if format == "json":
        return json_report(
            saved.verdict,
            saved.manifest,
            saved.repair,
            saved.exhibits,
            contamination=saved.contamination,
            run=saved.run,
        )
    return render_report(
        saved.verdict,
        manifest=saved.manifest,
        repair=saved.repair,
        repair_is_old=saved.repair_is_old,
        exhibits=saved.exhibits,
        contamination=saved.contamination,
        problems=saved.problems,
        training=saved.training,
        run=saved.run,
        title=saved.title,
    )


def read_saved(run: str | Path, *, with_exhibits: bool = True, with_lists: bool = False) -> Saved:
    """Read the records of a run, and what its rows show.

    Args:
        run: run folder or artifact folder.
        with_exhibits: False leaves the rows alone, which are large.
        with_lists: whether every val problem and training row is read, for the page.

    Raises:
        OvermemError: no such folder, or artifacts that are missing or damaged.
    """
    run_path = Path(run)
    store = Store.of_run(run_path)
    verdict = None
    if store.has_record("verdict"):
        verdict = Verdict.from_dict(store.read_record("verdict", VERDICT_SCHEMA))
    # A log is read anew: the training may have gone on since.
    if verdict is None or (verdict.evidence == "logged" and is_unaudited(run_path)):
        verdict = diagnose(run_path, save=False)
    manifest = read_manifest(store) if store.has_record("manifest") else None
    if manifest is not None:
        verdict = note_changes(verdict, run_path, store)
    # An artifact folder inside its run stands for the run.
    home = run_path.parent if store.root == run_path and run_path.name == "overmem" else run_path
    repair = _read_repair(store, manifest)
    contamination = read_contamination(store) if manifest is not None else None
    shown = _Shown()
    if manifest is not None and manifest.imported is None and with_exhibits and verdict.checkpoints:
        shown = _read_shown(store, manifest, verdict, home, contamination, with_lists=with_lists)
    return Saved(
        run=str(home),
        title=real_path(home).name,
        store=store,
        verdict=verdict,
        manifest=manifest,
        repair=repair,
        repair_is_old=repair is None and store.has_record("repair"),
        contamination=contamination,
        exhibits=shown.exhibits,
        problems=shown.problems,
        training=shown.training,
    )


def _read_repair(store: Store, manifest: Manifest | None) -> Repair | None:
    """What was repaired, unless the run has been audited anew since, with other weights or problems."""
    if not store.has_record("repair") or manifest is None:
        return None
    found = Repair.from_dict(store.read_record("repair", REPAIR_SCHEMA))
    return found if found.audited == manifest.key else None


@dataclass(frozen=True)
class _Shown:
    """What the rows show; nothing where they are not those of the verdict, or their texts were not kept."""

    exhibits: Exhibits | None = None
    problems: ValProblems | None = None
    training: TrainingRows | None = None


def _read_shown(
    store: Store,
    manifest: Manifest,
    verdict: Verdict,
    home: Path,
    contamination: Contamination | None,
    *,
    with_lists: bool,
) -> _Shown:
    """What the rows show of the checkpoints that a verdict compares, and every problem of the lists.

    Args:
        store: the run's artifacts.
        manifest: that describes the rows.
        verdict: made from them.
        home: the run's folder, where its tokenizer lies.
        contamination: what training had of val, if it was compared.
        with_lists: whether the lists are wanted.
    """
    names = [item.name for item in compared_checkpoints(verdict)]
    measured = {checkpoint.name for checkpoint in manifest.checkpoints}
    if not set(names) <= measured or not (store.root / TEXTS).is_file():
        return _Shown()
    evidence = read_evidence(store, manifest, names)
    tokenizer = _tokenizer(home, manifest, names)
    memorized = _memorized(store, manifest, names)
    exhibits = build_exhibits(verdict, evidence, tokenizer, _commands(manifest, str(home)), memorized)
    if not with_lists:
        return _Shown(exhibits)
    base = "base model" if verdict.base is not None and not verdict.base.in_run else None
    problems = val_problems(store, manifest, contamination, special_tokens(tokenizer), base)
    return _Shown(exhibits, problems, build_training_rows(evidence, tokenizer, memorized))


def _memorized(store: Store, manifest: Manifest, names: Sequence[str]) -> dict[str, MemorizedRows]:
    """The training rows of each checkpoint, most memorized first, where they can be ranked."""
    found = {}
    for name in names:
        try:
            found[name] = rank_training_rows(store, manifest, name)
        except RunError:
            continue
    return found


def read_evidence(store: Store, manifest: Manifest, names: Sequence[str]) -> dict[str, Evidence]:
    """The rows of each checkpoint, each job's aligned among the checkpoints that have it."""
    places = {name: MeasuredCheckpoint(store, manifest, name) for name in names}
    jobs = {name: place.jobs() & JOBS for name, place in places.items()}
    rows: dict[str, dict[Job, Any]] = {name: {} for name in names}
    found: dict[str, Evidence] = {}
    for having in sorted({tuple(name for name in names if job in jobs[name]) for job in JOBS}):
        if not having:
            continue
        wanted = {job for job in JOBS if tuple(name for name in names if job in jobs[name]) == having}
        for name, evidence in zip(
            having, align_evidence([places[name] for name in having], wanted), strict=True
        ):
            rows[name] |= evidence.rows
            found[name] = replace(evidence, rows=rows[name])
    return {name: found[name] for name in names if name in found}


def _tokenizer(home: Path, manifest: Manifest, names: Sequence[str]) -> Tokenizer | None:
    """The run's tokenizer; a run's checkpoints share one, so any that keeps it will do."""
    every = [checkpoint.name for checkpoint in manifest.checkpoints]
    base = manifest.base.model if manifest.base else None
    folders = [home / name for name in (*names, *every)] + [home] + ([Path(base)] if base else [])
    return load_tokenizer(folders)


def _commands(manifest: Manifest, run: str) -> Callable[[str], str]:
    """What to run for the rows of an exhibit, by what it needs."""

    def command(needs: str) -> str:
        more = () if needs in ("likelihood", "accuracy", "train") else (needs,)
        train = "TRAIN.jsonl" if needs in ("train", "recall") else None
        return f"this command measures them: `{audit_command(manifest, run, more=more, train=train)}`"

    return command
