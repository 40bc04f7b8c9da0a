"""Measure every checkpoint of a run: options, problems, plan, the resumable loop, the manifest."""
