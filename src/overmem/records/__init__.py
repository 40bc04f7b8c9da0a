"""The nouns: what overmem reads, measures and concludes, as frozen records.

Nothing here computes, reads files or imports torch. Undefined numbers are NaN in memory; on disk
they become null beside a `reason`.
"""

from overmem.records.comparisons import (
    FEWEST_SEEDS,
    TOO_FEW_SEEDS,
    AgainstBase,
    BaseModel,
    ByAccuracy,
    Cost,
    Privacy,
    Trade,
    Use,
)
from overmem.records.inputs import Checkpoint, Conversation, Example, Message, Run, TrainedTokens
from overmem.records.logged import (
    Keep,
    LoggedFinding,
    LoggedPoint,
    LoggedReading,
    LoggedRun,
    LoggedSeries,
    SavedStep,
)
from overmem.records.notebook_view import NotebookView
from overmem.records.plain import Estimate, finite_or_none, none_to_nan, to_plain
from overmem.records.repair import REPAIR_SCHEMA, Attempt, Proof, Repair, Retraining, Temperature
from overmem.records.verdict import (
    STAGES,
    VERDICT_SCHEMA,
    CheckpointSummary,
    CleanVal,
    JudgedReferences,
    LeftOut,
    Onset,
    PartFigures,
    ProblemGroups,
    Recommendation,
    Sensitivity,
    Severity,
    Stage,
    Verdict,
)

__all__ = [
    "FEWEST_SEEDS",
    "REPAIR_SCHEMA",
    "STAGES",
    "TOO_FEW_SEEDS",
    "VERDICT_SCHEMA",
    "AgainstBase",
    "Attempt",
    "BaseModel",
    "ByAccuracy",
    "Checkpoint",
    "CheckpointSummary",
    "CleanVal",
    "Conversation",
    "Cost",
    "Estimate",
    "Example",
    "JudgedReferences",
    "Keep",
    "LeftOut",
    "LoggedFinding",
    "LoggedPoint",
    "LoggedReading",
    "LoggedRun",
    "LoggedSeries",
    "Message",
    "NotebookView",
    "Onset",
    "PartFigures",
    "Privacy",
    "ProblemGroups",
    "Proof",
    "Recommendation",
    "Repair",
    "Retraining",
    "Run",
    "SavedStep",
    "Sensitivity",
    "Severity",
    "Stage",
    "Temperature",
    "Trade",
    "TrainedTokens",
    "Use",
    "Verdict",
    "finite_or_none",
    "none_to_nan",
    "to_plain",
]
