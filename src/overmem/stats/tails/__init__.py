"""Figures that few problems carry, or that rest on few seeds: their intervals, and which problems."""
