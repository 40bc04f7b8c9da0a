"""The decision: from per-problem rows to a stage with a calibrated confidence. Never imports torch."""

from overmem.diagnosis.judge import judge

__all__ = ["judge"]
