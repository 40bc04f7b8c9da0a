"""How a record shows itself in a notebook."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar


class NotebookView:
    """A record that a notebook shows as a table and a console in a few lines.

    `overmem/__init__.py` hooks the views in from above. Dataclasses of this kind are made with `repr=False`.
    """

    html_view: ClassVar[Callable[[Any], str]] = staticmethod(object.__repr__)
    text_view: ClassVar[Callable[[Any], str]] = staticmethod(object.__repr__)

    def _repr_html_(self) -> str:
        return type(self).html_view(self)

    def __repr__(self) -> str:
        """A few lines; a record has hundreds of figures."""
        return type(self).text_view(self)
