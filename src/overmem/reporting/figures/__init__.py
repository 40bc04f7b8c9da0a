"""Figures of the report: training dynamics, differences between checkpoints, one theme for all."""
