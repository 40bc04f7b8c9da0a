"""axe, the checker of accessibility, as a script to run in a page."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

PACKAGES = ("axe_core_python", "axe_playwright_python")


def find_axe() -> Path | None:
    """Path of `axe.min.js`: `$AXE`, or where a package keeps it; None when there is none."""
    if given := os.environ.get("AXE"):
        return Path(given)
    specs = filter(None, map(importlib.util.find_spec, PACKAGES))
    return next((Path(str(spec.origin)).with_name("axe.min.js") for spec in specs), None)
