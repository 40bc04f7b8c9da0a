"""How a page is put together: template, style, scripts, and what keeps them safe."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from overmem.formatting import visible
from overmem.reporting import view
from overmem.reporting.figures.theme import DARK, LIGHT, Figure


def render_page(
    template: str,
    values: Mapping[str, Any],
    *,
    figures: Mapping[str, Figure],
    dynamics: Mapping[str, Any] | None = None,
    places: Mapping[str, str] | None = None,
    package: str = __package__,
    styles: tuple[str, ...] = ("page.css",),
    scripts: tuple[str, ...] = (),
) -> str:
    """A self-contained page: style, figures and scripts inlined, all else forbidden by its policy.

    Args:
        template: name of the template.
        values: what it is filled with.
        figures: by name.
        dynamics: the dynamics figure's variants.
        places: what stands for each checkpoint in the figures' series.
        package: where the template lies, and styles that are not here.
        styles: names of style sheets.
        scripts: names of scripts beside those that draw figures.
    """
    drawn = bool(figures or dynamics)
    sources = {"plotly": plotly_js(), "draw": asset("draw.js")} if drawn else {}
    sources |= {name: asset(name, package) for name in scripts}
    data = {
        "dynamics": dynamics or {},
        "themes": {"light": LIGHT.roles(), "dark": DARK.roles()},
        "figures": {name: _figure_data(figure, places or {}) for name, figure in figures.items()},
    }
    return (
        _environment(package)
        .get_template(template)
        .render(
            style=Markup("".join(asset(name, package) for name in styles)),
            figure_json=_safe_json(data) if drawn else "",
            scripts={name: Markup(source) for name, source in sources.items()},
            script_policy=" ".join(_script_hash(source) for source in sources.values()) or "'none'",
            **values,
        )
    )


def _figure_data(figure: Figure, places: Mapping[str, str]) -> dict[str, Any]:
    series = {places[name]: traces for name, traces in figure.series.items()}
    return {"layout": figure.layout, "compact": figure.compact, "base": figure.base, "series": series}


def asset(name: str, package: str = __package__) -> str:
    """The text of a file of a package, or of this one where that has none of the name."""
    file = resources.files(package).joinpath(name)
    return (file if file.is_file() else resources.files(__package__).joinpath(name)).read_text("utf-8")


def _environment(package: str) -> Environment:
    """Where templates are read: everything is escaped, a name that is missing is an error."""
    made = Environment(
        loader=FunctionLoader(lambda name: asset(name, package)),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalized,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "as_written": escape,
        "cell": view.cell_text,
        "exp": math.exp,
        "sentence": sentence_html,
        "share_text": view.share_text,
    }
    return made


def _finalized(value: Any) -> Any:
    """What is put out without `as_written` cannot turn the line it stands in."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def sentence_html(text: Any) -> Markup:
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


def _script_hash(source: str) -> str:
    """What admits a script, and no other, to a page's policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


def _safe_json(value: Any) -> Markup:
    """JSON that cannot close its script element or be read as HTML."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character, code in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(character, code)
    return Markup(text)
