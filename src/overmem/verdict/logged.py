"""What a run's own training log says, when it was never audited.

`trainer_state.json` holds `eval_loss` by step and nothing for single problems: no graded answers, no
intervals, and a loss that need not be cross entropy. So no stage is given with confidence; each
checkpoint gets at most a leaning, and the verdict says which audit would settle it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from overmem.boundary import reason
from overmem.checkpoints import MAX_STEP, find_folders, read_number
from overmem.errors import RunError
from overmem.formatting import shell_word
from overmem.parsing import ParseError, finite_number, read_json
from overmem.records import CheckpointSummary, Estimate, Onset, Severity, Verdict
from overmem.rule import DEFAULT_RULE, Rule
from overmem.stats.perplexity import perplexity
from overmem.verdict.words.narrative import plain_words

STATE_FILE = "trainer_state.json"

_ROUNDING = 1e-12
_NO_INTERVAL = "no interval: the log holds one mean, not one figure a problem"
_NO_ACCURACY = "the training log holds no graded answers"


@dataclass(frozen=True, kw_only=True)
class LoggedPoint:
    """One step of the run: an evaluation in the log, a saved checkpoint, or both."""

    name: str
    step: int
    saved: bool
    """Whether a checkpoint of this step is on disk."""
    epoch: float | None
    eval_loss: float
    """As logged; NaN when there was no evaluation at this step or it was not finite."""
    reason: str | None
    """Why `eval_loss` is NaN."""


def read_logged(run_path: str | Path, rule: Rule = DEFAULT_RULE) -> Verdict:
    """Judge a run from its `trainer_state.json` alone.

    The evidence is `logged` and the stage always `undetermined`: without a row for each problem there
    is no accuracy and no interval. Leanings come from the ratio of exp(eval_loss) to its lowest value.

    Args:
        run_path: the run folder, a checkpoint folder, or a `trainer_state.json` itself.
        rule: thresholds; its ratio to the lowest exp(eval_loss), after it, counts as inflated.

    Returns:
        A verdict without recommendation, whose `reason` names the audit that would settle it.

    Raises:
        RunError: when there is no readable `trainer_state.json`.
    """
    run = Path(run_path)
    run = _home(run.parent if run.name == STATE_FILE else run)
    state_path, state = _newest_state(run)
    history = _history(state, state_path)
    saved = _saved_steps(run, state)
    key, key_note = _eval_loss_key(history)
    points = _match_by_step(history, key, saved)
    summaries = _lean(points, rule)
    verdict = Verdict(
        stage="undetermined",
        confidence=math.nan,
        checkpoints=summaries,
        onset=Onset(step=None, low=None, high=None, reason="a logged eval_loss gives no stage, so no onset"),
        severity=_severity(summaries),
        recommended=None,
        alternatives={"lowest_perplexity": _lowest_saved(points), "highest_accuracy": None},
        thresholds={"perplexity_ratio": rule.perplexity_ratio},
        evidence="logged",
        reason=_reason(run, key, key_note),
        notes=_notes(history, key, key_note, points),
    )
    return replace(verdict, words=plain_words(verdict))


# Reading.


def _home(run: Path) -> Path:
    if not run.is_dir():
        raise RunError(
            "this run folder does not exist", got=run, expected="a folder with checkpoint-<step>/ inside"
        )
    return find_folders(run).home


def _newest_state(run: Path) -> tuple[Path, Mapping[str, Any]]:
    folders = sorted(_checkpoint_folders(run).items(), reverse=True)
    newest = next((path / STATE_FILE for _, path in folders if (path / STATE_FILE).is_file()), None)
    found = [path for path in (newest, run / STATE_FILE) if path is not None and path.is_file()]
    if not found:
        raise RunError(
            f"no {STATE_FILE} in this run, so there is no training log to read",
            got=f"{run}, with {len(folders)} checkpoint folder(s)",
            expected=f"{run / STATE_FILE} or {run / 'checkpoint-<step>' / STATE_FILE}",
            next_step=f"audit the checkpoints instead: {_audit_command(run)}",
        )
    states = [(path, _read_state(path)) for path in found]
    # Equal steps: the root's was written after the last checkpoint and may hold a final evaluation.
    return max(states, key=lambda pair: (_step_of(pair[1].get("global_step")), pair[0].parent == run))


def _read_state(path: Path) -> Mapping[str, Any]:
    try:
        state = read_json(path)
    except (OSError, ParseError) as error:
        raise RunError(
            f"{path} cannot be read as JSON",
            got=reason(error),
            expected="the file that transformers.Trainer writes",
            next_step=f"move the file away, or measure the checkpoints: {_audit_command(path.parent)}",
        ) from error
    if not isinstance(state, dict) or not isinstance(state.get("log_history"), list):
        keys = ", ".join(sorted(state)[:8]) if isinstance(state, dict) else type(state).__name__
        raise RunError(
            f"{path} is not a trainer state",
            got=keys or "no keys",
            expected="an object with a log_history list",
        )
    return state


def _history(state: Mapping[str, Any], path: Path) -> list[Mapping[str, Any]]:
    rows = state["log_history"]
    for number, row in enumerate(rows):
        if not isinstance(row, dict) or _step_of(row.get("step")) < 0:
            raise RunError(
                f"row {number} of log_history in {path} has no step",
                got=f"{row!r:.120}",
                expected='an object with an integer "step"',
            )
    return list(rows)


def _step_of(value: Any) -> int:
    """A step of optimization; -1 for what is none."""
    step = finite_number(value)
    return int(step) if step is not None and 0 <= step <= MAX_STEP else -1


def _checkpoint_folders(run: Path) -> dict[int, Path]:
    found = find_folders(run).folders
    return {f.number: f.folder for f in found if f.number is not None and f.unit == "step"}


def _saved_steps(run: Path, state: Mapping[str, Any]) -> dict[int, str]:
    """Names of the checkpoints on disk by step; a model at the root is `final`, at the last step."""
    saved = {step: path.name for step, path in _checkpoint_folders(run).items()}
    itself = read_number(run.name)
    if itself is not None and itself.unit == "step":
        saved.setdefault(itself.number, run.name)
    elif any(run.glob("*.safetensors")) and _step_of(state.get("global_step")) >= 0:
        saved.setdefault(_step_of(state["global_step"]), "final")
    return saved


def _eval_loss_key(history: Sequence[Mapping[str, Any]]) -> tuple[str | None, str | None]:
    """The key that holds the evaluation loss, and what a reader must know about that choice."""
    keys = {key for row in history for key in row if key.startswith("eval_") and key.endswith("_loss")}
    if any("eval_loss" in row for row in history):
        others = sorted(keys - {"eval_loss"})
        return (
            "eval_loss",
            f"Other evaluation losses in the log are not used: {', '.join(others)}." if others else None,
        )
    if len(keys) == 1:
        (key,) = keys
        return key, f"The log has no `eval_loss`; its only evaluation loss, `{key}`, is read in its place."
    if keys:
        return None, f"The log has several evaluation losses and no `eval_loss`: {', '.join(sorted(keys))}."
    return None, "The log has no `eval_loss`: the run was trained without evaluation."


# Matching and leaning.


def _match_by_step(
    history: Sequence[Mapping[str, Any]], key: str | None, saved: Mapping[int, str]
) -> tuple[LoggedPoint, ...]:
    logged = {
        _step_of(row["step"]): row for row in history if key is not None and key in row
    }  # last row wins
    epochs = {_step_of(row["step"]): finite_number(row.get("epoch")) for row in history}
    return tuple(
        _point(step, saved.get(step), epochs.get(step), logged.get(step), key)
        for step in sorted(logged.keys() | saved.keys())
    )


def _point(
    step: int, saved_as: str | None, epoch: float | None, row: Mapping[str, Any] | None, key: str | None
) -> LoggedPoint:
    loss, why = math.nan, "the log has no evaluation loss at this step"
    if row is not None and key is not None:
        value = finite_number(row[key])
        loss = math.nan if value is None else value
        why = f"{key} was logged as {row[key]!s:.80}" if value is None else ""
    return LoggedPoint(
        name=saved_as or f"step-{step} (not saved)",
        step=step,
        saved=saved_as is not None,
        epoch=epoch,
        eval_loss=loss,
        reason=why or None,
    )


def _lean(points: Sequence[LoggedPoint], rule: Rule) -> tuple[CheckpointSummary, ...]:
    measured = [point for point in points if math.isfinite(point.eval_loss)]
    lowest = min(measured, key=lambda point: point.eval_loss, default=None)
    comparable = len(measured) > 1
    return tuple(
        CheckpointSummary(
            name=point.name,
            step=point.step,
            stage="undetermined",
            confidence=math.nan,
            leaning=_leaning(point, lowest, rule) if lowest is not None and comparable else None,
            accuracy=_undefined(_NO_ACCURACY),
            nll_nats=_logged_figure(point, point.eval_loss),
            perplexity=_logged_figure(point, perplexity(point.eval_loss)),
            epoch=point.epoch,
        )
        for point in points
    )


def _leaning(point: LoggedPoint, lowest: LoggedPoint, rule: Rule) -> str | None:
    if not math.isfinite(point.eval_loss):
        return None
    inflated = point.eval_loss - lowest.eval_loss >= math.log(rule.perplexity_ratio) - _ROUNDING
    if not inflated:
        return "fit"
    return "over-memorized" if point.step > lowest.step else "learning"


def _undefined(why: str) -> Estimate:
    return Estimate(math.nan, math.nan, math.nan, 0, why)


def _logged_figure(point: LoggedPoint, value: float) -> Estimate:
    if math.isfinite(value):
        return Estimate(value, math.nan, math.nan, 0, _NO_INTERVAL)
    return _undefined(point.reason or f"exp({point.eval_loss:g}) is too large for a number")


def _lowest_saved(points: Sequence[LoggedPoint]) -> str | None:
    measured = [point for point in points if point.saved and math.isfinite(point.eval_loss)]
    return min(measured, key=lambda point: point.eval_loss).name if measured else None


def _severity(summaries: Sequence[CheckpointSummary]) -> Severity:
    finite = [summary.nll_nats.value for summary in summaries if math.isfinite(summary.nll_nats.value)]
    shares = "a share needs the log-probability of every token, which the log does not hold"
    if not finite or not math.isfinite(summaries[-1].nll_nats.value):
        missing = "the last checkpoint has no evaluation loss in the log"
        return Severity(excess_nll_nats=_undefined(missing), perplexity_ratio=math.nan, reason=shares)
    excess = finite[-1] - min(finite)
    return Severity(
        excess_nll_nats=Estimate(excess, math.nan, math.nan, 0, _NO_INTERVAL),
        perplexity_ratio=perplexity(excess),
        reason=shares,
    )


# What the reader must be told.


def _audit_command(run: Path) -> str:
    return f"overmem audit {shell_word(run)} --val VAL --train TRAIN"


def _reason(run: Path, key: str | None, key_note: str | None) -> str:
    base = "the evidence is `logged`, only trainer_state.json was read"
    missing = f"{base}, and it has no evaluation loss to go by. {key_note}" if key is None else f"{base}."
    return f"{missing} To settle it: `{_audit_command(run)}`"


def _notes(
    history: Sequence[Mapping[str, Any]], key: str | None, key_note: str | None, points: Sequence[LoggedPoint]
) -> tuple[str, ...]:
    notes = [key_note] if key_note else []
    if key is not None:
        notes.append(
            f"`{key}` may hide the perplexity: it is the training objective, not always cross entropy "
            "(DFT, label smoothing and compute_loss_func run in evaluation too), and packing or counted "
            "prompt tokens change it. It has no interval and says nothing about answers."
        )
    notes += _accuracy_notes(history)
    unsaved = [point.step for point in points if not point.saved]
    if unsaved:
        notes.append(f"Evaluated but not on disk as a checkpoint: {_steps_text(unsaved)}.")
    unlogged = [point.step for point in points if point.saved and not math.isfinite(point.eval_loss)]
    if unlogged and key is not None:
        notes.append(f"On disk but without a finite evaluation loss in the log: {_steps_text(unlogged)}.")
    train = [row for row in history if finite_number(row.get("loss")) is not None]
    if train:
        notes.append(
            f"The last training loss in the log is {train[-1]['loss']:.3f} at step {train[-1]['step']}: a "
            "mean over batches while the weights moved, not the NLL of a checkpoint on its training data."
        )
    return tuple(notes)


def _accuracy_notes(history: Sequence[Mapping[str, Any]]) -> list[str]:
    keys = sorted({key for row in history for key in row if key.startswith("eval_") and "acc" in key.lower()})
    notes = []
    if token := [key for key in keys if "token" in key]:
        notes.append(
            f"`{'`, `'.join(token)}` is token accuracy (the share of next tokens guessed right with the "
            "reference before them), not answer accuracy; it is not used."
        )
    if other := [key for key in keys if "token" not in key]:
        notes.append(
            f"`{'`, `'.join(other)}` is not used: the log does not say whether it counts tokens or graded "
            "answers."
        )
    return notes


def _steps_text(steps: Sequence[int]) -> str:
    if len(steps) > 8:
        return f"{len(steps)} steps ({', '.join(map(str, steps[:4]))}, ..., {steps[-1]})"
    return f"step {', '.join(map(str, steps))}"
