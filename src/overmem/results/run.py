"""Import what another evaluation tool measured of a run's checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from overmem.artifacts.manifest import Manifest
from overmem.artifacts.manifest_parts.imported import Imported
from overmem.artifacts.store import Store
from overmem.boundary import library_call
from overmem.errors import DataError, OvermemError, RunError
from overmem.records import BASE
from overmem.results.eval_loss import logged_losses
from overmem.results.matching import Checkpoints, Named, by_checkpoint
from overmem.results.pairing import Paired, pair_results
from overmem.results.readers.evalscope import read_evalscope
from overmem.results.readers.inspect import read_inspect
from overmem.results.readers.lighteval import read_lighteval
from overmem.results.readers.lm_eval import CountTokens, read_lm_eval
from overmem.results.readers.tables import read_table
from overmem.results.record import Result
from overmem.results.tokens import token_counter
from overmem.results.writing import check_writable, write_results

Tool = Literal["lm-eval", "lighteval", "inspect", "evalscope", "csv", "parquet"]
TOOLS: tuple[str, ...] = get_args(Tool)


@dataclass(frozen=True, kw_only=True)
class Import:
    """What was imported."""

    store: Store
    manifest: Manifest
    rests_on: str
    """What a verdict can rest on, in words."""


def import_results(
    tool: str,
    results: str | Path | None,
    run: str | Path,
    *,
    out: str | Path | None = None,
    checkpoints: Mapping[str, str | Path] | None = None,
    task: str | None = None,
    metric: str | None = None,
    tokenizer: str | Path | None = None,
) -> Import:
    """Read results of another tool into a run's artifacts, as if audited, for every later stage.

    Args:
        tool: whose results, one of `TOOLS`.
        results: its file or folder; None where `checkpoints` names a file for each.
        run: folder of the run.
        out: artifact folder; `RUN/overmem` by default.
        checkpoints: files or folders by the checkpoint whose results they are; `base` is the base model.
        task: name or pattern of the tasks that count, where there are several.
        metric: the figure that says whether an answer is right, where there are several.
        tokenizer: folder of a `tokenizer.json`, where no checkpoint has one: NLL is read a token.

    Raises:
        OvermemError: an unknown tool, a file that cannot be read, results that do not go together, or
            artifacts of an audit in the same place.
    """
    if tool not in TOOLS:
        raise RunError("unknown kind of results", got=tool, expected=", ".join(TOOLS))
    run_path = Path(run)
    store = Store.of_run(run_path, None if out is None else Path(out))
    known = Checkpoints(run_path)
    check_writable(store)
    read = _reader(tool, metric, known, None if tokenizer is None else Path(tokenizer))
    found = [(result.model, result) for result in (read(Path(results)) if results is not None else [])]
    for name, file in (checkpoints or {}).items():
        found += [(name, result) for result in read(Path(file))]
    if not found:
        raise RunError("no results were given", expected="a file or folder, or --checkpoint NAME=FILE")
    grouped = by_checkpoint(found, known)
    if not [name for name in grouped if name != BASE]:
        raise RunError("the results are of the base model alone", expected="results of a checkpoint")
    paired = pair_results({name: tasks for name, (_, tasks) in grouped.items()}, task)
    named = {name: item for name, (item, _) in grouped.items()}
    imported = _described(tool, [result for _, result in found], paired, named, run_path)
    manifest = write_results(store, named, paired, imported)
    return Import(store=store, manifest=manifest, rests_on=rests_on(manifest))


def rests_on(manifest: Manifest) -> str:
    """What a verdict on imported results rests on.

    Args:
        manifest: of an import.
    """
    imported = manifest.imported
    assert imported is not None
    n = f"{manifest.val.n:,} problems"
    if imported.scores:
        return "shares right alone, which cannot be paired"
    if "likelihood" in manifest.axes:
        return f"answers and likelihoods of the same {n}"
    if imported.eval_loss:
        return f"answers to {n} in pairs; eval_loss of the training log stands in for likelihoods"
    return f"answers to {n} in pairs; no likelihood"


def _reader(
    tool: str, metric: str | None, known: Checkpoints, tokenizer: Path | None
) -> Callable[[Path], list[Result]]:
    @cache
    def tokens_of(model: str) -> CountTokens:
        try:
            named: Path | None = known.find(model).path
        except OvermemError:
            named = None
        folders = [named, *(item.path for item in known.there), known.run, Path(model)]
        return token_counter([tokenizer] if tokenizer else [item for item in folders if item is not None])

    readers: dict[str, Callable[[Path], list[Result]]] = {
        "lm-eval": lambda path: read_lm_eval(path, metric, tokens_of),
        "lighteval": lambda path: read_lighteval(path, metric),
        "inspect": lambda path: read_inspect(path, metric),
        "evalscope": lambda path: read_evalscope(path, metric),
        "csv": lambda path: read_table(path, "csv"),
        "parquet": lambda path: read_table(path, "parquet"),
    }

    def read(path: Path) -> list[Result]:
        # A record of another shape at any depth; the readers look at what they take, not at all there is.
        with library_call(
            f"{path} cannot be read as results of {tool}",
            DataError,
            expected="files as the tool writes them",
            next_step="copy them again, or run the evaluation again",
        ):
            return readers[tool](path)

    return read


def _described(
    tool: str, results: list[Result], paired: Paired, named: Mapping[str, Named], run: Path
) -> Imported:
    """Where the rows come from, with the logged loss where no likelihood is among them."""
    names = [name for name, item in named.items() if item.base is None]
    losses = {} if paired.has_likelihood or paired.scores else logged_losses(run, names)
    imported = Imported(
        tool=tool,
        version=next((result.version for result in results if result.version), ""),
        task=paired.task,
        metric=paired.metric,
        sources=tuple(dict.fromkeys(result.source for result in results)),
        eval_loss=losses if set(losses) == set(names) else {},
        scores=paired.scores,
        notes=paired.notes,
    )
    if losses and not imported.eval_loss:
        note = f"eval_loss is not read: the log has it of {len(losses)} of {len(names)} checkpoints"
        imported = replace(imported, notes=(*imported.notes, note))
    return imported
