"""Keep checkpoints that `save_total_limit` would delete, as hard links beside the others.

The Trainer deletes old checkpoints right after saving a new one, protects one best checkpoint at most, and
then changes what is left at the end. So nothing of its state is touched: what must survive is linked into
a folder of our own and, once the original is gone, linked back in its place. A link takes no space.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from pathlib import Path

ASIDE = "_overmem-kept"
"""Within the output folder while training; the Trainer never pushes a name with `_` to the hub."""
BASE = "checkpoint-0"
"""The untrained model, where the recipe asks for it; it is kept always."""
NOT_KEPT = ("optimizer*", "scheduler*", "scaler*", "rng_state*")
"""What only resuming needs; two thirds of a checkpoint's size."""


class CheckpointRetention:
    """Keeps the checkpoints that are asked for through the Trainer's rotation."""

    def __init__(self, output: Path) -> None:
        """Watch over the checkpoints of one output folder."""
        self.output, self.aside = output, output / ASIDE

    def steps(self) -> set[int]:
        """Steps of which there is a checkpoint, in place or aside."""
        found = [*self.output.glob("checkpoint-*"), *self.aside.glob("checkpoint-*")]
        return {int(digits) for path in found if (digits := path.name.partition("-")[2]).isdecimal()}

    def keep(self, steps: Collection[int]) -> None:
        """Keep these and the untrained model and no others, and bring back those that were deleted."""
        names = {BASE, *(f"checkpoint-{step}" for step in steps)}
        for path in self.aside.glob("checkpoint-*"):
            if path.name not in names:
                shutil.rmtree(path, ignore_errors=True)
        for name in names:
            if (self.output / name).is_dir() and not (self.aside / name).exists():
                _link_tree(self.output / name, self.aside / name)
        self._restore()

    def finish(self) -> None:
        """Bring back what was deleted and leave nothing of our own; also what a killed run left."""
        self._restore()
        shutil.rmtree(self.aside, ignore_errors=True)

    def _restore(self) -> None:
        for path in self.aside.glob("checkpoint-*"):
            if not (self.output / path.name).exists():
                _link_tree(path, self.output / path.name)


def remove_retained(output: Path) -> None:
    """Remove what a killed run kept, where another run begins in its folder."""
    shutil.rmtree(output / ASIDE, ignore_errors=True)


def _link_tree(source: Path, target: Path) -> None:
    """Hard links to all files but the optimizer's; the folder appears whole and keeps its time.

    The time matters: the Trainer deletes by it, and takes the newest folder for the one to resume from.
    """
    temporary = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, temporary, copy_function=_link, ignore=shutil.ignore_patterns(*NOT_KEPT))
    os.replace(temporary, target)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copy2(source, target)
