"""overmem: find, explain and fix over-memorization in LLM fine-tuning.

Names are loaded on first use, so that `import overmem` and the torch-free stages (`judge`,
`diagnose`, `report`) start at once. Editors and type checkers read them in `__init__.pyi`.
"""

from __future__ import annotations

import sys

# `python -m overmem` puts the current folder first on the path, and the console script does not. It may be a
# run that somebody else shared, so it is taken off before anything is imported that could lie there.
if sys.argv[:1] == ["-m"] and sys.orig_argv[-len(sys.argv)].endswith("overmem") and not sys.flags.safe_path:
    del sys.path[0]

from importlib import import_module
from typing import Any

from overmem.records import NotebookView

__version__ = "0.1.0"

_PUBLIC = {
    "open_run": "overmem.checkpoints",
    "audit": "overmem.auditing.run",
    "plan": "overmem.auditing.api.verbs",
    "watch": "overmem.auditing.api.verbs",
    "data_check": "overmem.contamination.data_check",
    "check": "overmem.verdict.gate",
    "diagnose": "overmem.verdict.diagnose",
    "judge": "overmem.verdict.judge",
    "compare": "overmem.verdict.compare",
    "report": "overmem.reporting.run",
    "merge": "overmem.merging",
    "repair": "overmem.repairing.run",
    "plain_adapter": "overmem.models.plain_adapter",
    "train": "overmem.training.trainer",
    "sweep": "overmem.sweeping.run",
    "token_weights": "overmem.recipe.losses",
    "ReweightedSFTTrainer": "overmem.training.reweighted",
    "reweighted_loss": "overmem.training.reweighted",
    "OverMemorizationMonitor": "overmem.monitor.callback",
    "grade": "overmem.grading.grade",
    "Grade": "overmem.grading.judges",
    "load_recipe": "overmem.recipe.reading",
    "load_examples": "overmem.tasks.sources",
    "Example": "overmem.records",
    "Checkpoint": "overmem.records",
    "Run": "overmem.records",
    "Estimate": "overmem.records",
    "CheckpointSummary": "overmem.records",
    "Verdict": "overmem.records",
    "Comparison": "overmem.records",
    "Repair": "overmem.records",
    "Rule": "overmem.rule",
    "OvermemError": "overmem.errors",
}
__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        near = None if name.startswith("_") else import_module("overmem.keywords").did_you_mean(name, _PUBLIC)
        raise AttributeError(f"module 'overmem' has no attribute {name!r}{f'; {near}' if near else ''}")
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def _html_view(record: Any) -> str:
    return str(import_module("overmem.reporting.notebook").html_view(record))


def _text_view(record: Any) -> str:
    return str(import_module("overmem.reporting.notebook").text_view(record))


NotebookView.html_view = staticmethod(_html_view)
NotebookView.text_view = staticmethod(_text_view)
