"""Colours and short codes of the stages, and the two themes of the page."""

from __future__ import annotations

from dataclasses import dataclass

STAGE_COLOURS: dict[str, str] = {  # Okabe and Ito's colour-blind safe set
    "learning": "#56B4E9",
    "fit": "#009E73",
    "over-memorized": "#E69F00",
    "overfit": "#D55E00",
    "unstable": "#CC79A7",
    "undetermined": "#8A8F98",
}
STAGE_CODES: dict[str, str] = {  # stand in the strip where the name does not fit
    "learning": "L",
    "fit": "F",
    "over-memorized": "OM",
    "overfit": "OF",
    "unstable": "U",
    "undetermined": "?",
}


@dataclass(frozen=True, kw_only=True)
class Theme:
    """Colours of the page that the figure sits on."""

    ink: str
    muted: str
    grid: str
    paper: str
    accuracy: str
    perplexity: str
    band_opacity: float


LIGHT = Theme(
    ink="#1d2127",
    muted="#5b6470",
    grid="rgba(29,33,39,0.10)",
    paper="#ffffff",
    accuracy="#0b5cad",
    perplexity="#8a2f6b",
    band_opacity=0.16,
)
DARK = Theme(
    ink="#e8eaed",
    muted="#a4acb7",
    grid="rgba(232,234,237,0.12)",
    paper="#191c21",
    accuracy="#7db8f5",
    perplexity="#ef9ad0",
    band_opacity=0.20,
)


def rgba(colour: str, opacity: float) -> str:
    """A `#rrggbb` colour with an opacity."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"
