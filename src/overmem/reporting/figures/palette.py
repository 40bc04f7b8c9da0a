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
    first: str
    """Of the checkpoint that a reader looks at first, and so on; told apart by dash and mark as well."""
    second: str
    worse: str
    better: str

    def roles(self) -> dict[str, dict[str, str]]:
        """What stands for each role of an exhibit's figure: for all traces, and for each place."""
        shared = {
            "@ink": self.ink,
            "@muted": self.muted,
            "@grid": self.grid,
            "@paper": self.paper,
            "@worse": self.worse,
            "@better": self.better,
        }
        return {
            "all": shared,
            "first": _place("first", self.first, dash="solid", symbol="circle", pattern=""),
            "second": _place("second", self.second, dash="7px,4px", symbol="diamond", pattern="/"),
        }


LIGHT = Theme(
    ink="#1d2127",
    muted="#5b6470",
    grid="rgba(29,33,39,0.10)",
    paper="#ffffff",
    accuracy="#0b5cad",
    perplexity="#8a2f6b",
    band_opacity=0.16,
    first="#0b5cad",
    second="#b4500b",
    worse="#b4410a",
    better="#00795a",
)
DARK = Theme(
    ink="#e8eaed",
    muted="#a4acb7",
    grid="rgba(232,234,237,0.12)",
    paper="#191c21",
    accuracy="#7db8f5",
    perplexity="#ef9ad0",
    band_opacity=0.20,
    first="#7db8f5",
    second="#f2a65a",
    worse="#f2925c",
    better="#3fc79a",
)


def rgba(colour: str, opacity: float) -> str:
    """A `#rrggbb` colour with an opacity."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def _place(role: str, colour: str, **marks: str) -> dict[str, str]:
    found = {"@role": role, "@series": colour, "@fill": rgba(colour, 0.18)}
    return found | {f"@{name}": mark for name, mark in marks.items()}
