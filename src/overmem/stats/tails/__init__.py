"""Figures that few problems carry: their intervals, and which problems those are."""
