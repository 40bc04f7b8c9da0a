"""The decision: from per-problem rows to a stage with a calibrated confidence. Never imports torch."""
