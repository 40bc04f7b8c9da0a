"""Rows of published data sets, as their authors have them, to examples."""
