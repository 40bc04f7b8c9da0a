"""What training had of val, as the page shows it: counts, the parts of val, problems side by side."""

from __future__ import annotations

from overmem.contamination.record import KINDS, Contamination
from overmem.formatting import DASH, estimate_text, nats
from overmem.records import Verdict
from overmem.reporting.view import Values


def overlap_part(verdict: Verdict, record: Contamination | None) -> Values | None:
    """Values for the page's section; None where a verdict rests on no audit.

    Args:
        verdict: whose `clean_val` says what was left out.
        record: of the texts, if it is there.
    """
    clean = verdict.clean_val
    if clean is None:
        return None
    lines = []
    if clean.templates:
        lines.append(f"{clean.in_templates} val problems share {clean.templates} templates among themselves.")
    if clean.followers:
        lines.append(f"Moved with training's NLL: {', '.join(clean.followers)}.")
    if clean.refused:
        lines.append(f"No verdict is given: {clean.refused.removeprefix('insufficient evidence: ')}.")
    against_train = record.of("val", "train") if record else None
    return {
        "premise": clean.premise[:1].upper() + clean.premise[1:],
        "sets": [
            {
                "name": item.set,
                "against": "itself" if item.set == item.against else item.against,
                "n": item.n,
                "counts": [item.counts.get(kind, 0) for kind in KINDS],
            }
            for item in (record.sets if record else ())
        ],
        "parts": [
            {
                "name": part.part,
                "n": part.accuracy.n,
                "accuracy": estimate_text(part.accuracy, ".1%", to=DASH),
                "nll": estimate_text(part.nll_nats, nats, to=DASH),
            }
            for part in clean.parts
        ],
        "lines": lines,
        "examples": list(against_train.examples) if against_train else [],
    }
