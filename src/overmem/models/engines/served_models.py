"""The models that a server lists, and which of them is a checkpoint: by name, by path, or as it is told."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from overmem.boundary import real_path
from overmem.records import Checkpoint

SHOWN = 8
"""Names that a message lists."""


@dataclass(frozen=True, kw_only=True)
class ServedModels:
    """What a server has, as it names it.

    Without such a list a server may answer as one model whatever name it is given, as llama.cpp does.
    """

    names: tuple[str, ...]
    template: str | None
    """Of a checkpoint's name, with `{name}`, `{path}` or `{step}`; None finds it by its path or its name."""
    on_demand: bool
    """The server loads whatever it is asked for, and `names` say nothing."""

    def possible_names(self, checkpoint: Checkpoint) -> list[str]:
        """What the server may call a checkpoint, the likeliest last."""
        path = str(real_path(checkpoint.path))
        if self.template is not None:
            filled = self.template.replace("{name}", checkpoint.name).replace("{path}", path)
            return [filled.replace("{step}", str(checkpoint.step))]
        names = [checkpoint.name, str(checkpoint.path), path]
        by_name = checkpoint.kind == "adapter" and not self.on_demand
        return names[::-1] if by_name else names

    def name_of(self, checkpoint: Checkpoint) -> str | None:
        """The name to ask for, or None when it is not served."""
        names = self.possible_names(checkpoint)
        if self.on_demand:
            return names[-1]
        return next((self._as_listed[name] for name in reversed(names) if name in self._as_listed), None)

    def said(self, redacted: Callable[[str], str]) -> str:
        """The first names, for a message.

        Args:
            redacted: makes text of a server fit to be shown.
        """
        names = list(dict.fromkeys(self._as_listed.values()))
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        return (redacted(", ".join(names[:SHOWN])) or "no model") + more

    @cached_property
    def _as_listed(self) -> dict[str, str]:
        """Names by themselves and by the folder that they name."""
        # vLLM names a model as it was typed, which may be another way to the same folder.
        folders = {os.path.realpath(name): name for name in self.names if "/" in name}
        return folders | {name: name for name in self.names}
