"""overmem: find, explain and fix over-memorization in LLM fine-tuning.

Names are loaded on first use, so that `import overmem` and the torch-free stages (`judge`,
`diagnose`, `report`) start at once.
"""

from __future__ import annotations

import sys

# `python -m overmem` puts the current folder first on the path, and the console script does not. It may be a
# run that somebody else shared, so it is taken off before anything is imported that could lie there.
if sys.argv[:1] == ["-m"] and sys.orig_argv[-len(sys.argv)].endswith("overmem") and not sys.flags.safe_path:
    del sys.path[0]

from importlib import import_module
from typing import TYPE_CHECKING, Any

from overmem.records import NotebookView

if TYPE_CHECKING:  # the same for editors and type checkers; a test keeps both in step
    from overmem.auditing.api.verbs import plan as plan
    from overmem.auditing.api.verbs import watch as watch
    from overmem.auditing.run import audit as audit
    from overmem.checkpoints import open_run as open_run
    from overmem.contamination.data_check import data_check as data_check
    from overmem.errors import OvermemError as OvermemError
    from overmem.grading.grade import grade as grade
    from overmem.grading.judges import Grade as Grade
    from overmem.merging import merge as merge
    from overmem.models.plain_adapter import plain_adapter as plain_adapter
    from overmem.monitor.callback import OverMemorizationMonitor as OverMemorizationMonitor
    from overmem.recipe.losses import token_weights as token_weights
    from overmem.recipe.schema import load_recipe as load_recipe
    from overmem.records import Checkpoint as Checkpoint
    from overmem.records import CheckpointSummary as CheckpointSummary
    from overmem.records import Comparison as Comparison
    from overmem.records import Estimate as Estimate
    from overmem.records import Example as Example
    from overmem.records import Repair as Repair
    from overmem.records import Run as Run
    from overmem.records import Verdict as Verdict
    from overmem.repairing.run import repair as repair
    from overmem.reporting.run import report as report
    from overmem.rule import Rule as Rule
    from overmem.sweeping.run import sweep as sweep
    from overmem.tasks.sources import load_examples as load_examples
    from overmem.training.reweighted import ReweightedSFTTrainer as ReweightedSFTTrainer
    from overmem.training.reweighted import reweighted_loss as reweighted_loss
    from overmem.training.trainer import train as train
    from overmem.verdict.compare import compare as compare
    from overmem.verdict.diagnose import diagnose as diagnose
    from overmem.verdict.gate import check as check
    from overmem.verdict.judge import judge as judge

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
    "load_recipe": "overmem.recipe.schema",
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
        raise AttributeError(f"module 'overmem' has no attribute {name!r}")
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
