"""Are the references that perplexity is read on in the training data's style?"""

from __future__ import annotations

import polars as pl

from overmem.artifacts.manifest import Manifest
from overmem.artifacts.store import Store
from overmem.formatting import percent
from overmem.records import JudgedReferences
from overmem.stats.style.shift import detect_style_shift, untested


def judged_references(store: Store, manifest: Manifest) -> JudgedReferences:
    """The references that the rule reads perplexity on, and whether they are in the training data's style.

    Args:
        store: the run's artifacts.
        manifest: the record that describes them.
    """
    source = manifest.val.source
    if "train" not in manifest.splits:
        found = untested("no training data was given to compare their wording with")
    elif not store.has_texts():
        found = untested("the texts of the problems were not kept")
    else:
        texts = store.read_texts().filter(~_left_out(manifest))
        found = detect_style_shift(
            *(texts.filter(set=name)["completion"].to_list() for name in ("train", "val"))
        )
    return JudgedReferences(
        source=source, unlike=found.unlike, other_style=found.other_style, telling=found.telling
    )


def _left_out(manifest: Manifest) -> pl.Expr:
    """Texts of val problems that training had, whose style is training's."""
    return (pl.col("set") == "val") & pl.col("example_id").is_in(list(manifest.left_out_of("val")))


def style_shift_note(references: JudgedReferences) -> list[str]:
    """Warn when perplexity may have risen because val is in another style than the training data."""
    if not references.other_style:
        return []
    found = references.unlike
    return [
        f"{percent(found.value, 0)} of val's references ({references.source}) look as if written in another "
        f"style than the training data ({percent(found.low, 0)} to {percent(found.high, 0)}): "
        f"{'; '.join(references.telling)}. If that is how they are written, and not what their problems "
        "need, perplexity may rise for that reason and not for memorization. Read some of each. "
        "Then give references in the training style as --val, and these as --references NAME=SOURCE"
    ]
