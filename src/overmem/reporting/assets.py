"""The parts a page is put together from: template, style, scripts, and what keeps them safe."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from overmem.reporting import view
from overmem.reporting.escaping import visible


def asset(name: str) -> str:
    """The text of a file of this package."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def environment() -> Environment:
    """Where templates are read: everything is escaped, a name that is missing is an error."""
    made = Environment(
        loader=FunctionLoader(asset),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalized,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["said"] = said
    made.filters |= {
        "as_written": escape,
        "exp": math.exp,
        "cell": view.cell_text,
        "share_text": view.share_text,
    }
    return made


def _finalized(value: Any) -> Any:
    """What is put out without `as_written` cannot turn the line it stands in."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def said(text: Any) -> Markup:
    """A sentence of the record as HTML: escaped, its `backticks` as code, its first letter upper case."""
    text = visible(str(text))
    if text.partition(" ")[0].isalpha():  # a name such as checkpoint-300 stays as it is
        text = text[:1].upper() + text[1:]
    parts = [escape(part) for part in text.split("`")]
    marked = [Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts)]
    return Markup("").join(marked)


def plotly_js() -> str:
    """The plotting library, which is inlined."""
    # The parser turns \r into \n before the hash of the policy is checked.
    return asset("vendor/plotly-basic.min.js").replace("\r\n", "\n").replace("\r", "\n")


def script_hash(source: str) -> str:
    """What admits a script, and no other, to a page's policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


def safe_json(value: Any) -> Markup:
    """JSON that cannot close its script element or be read as HTML."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character, code in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(character, code)
    return Markup(text)
