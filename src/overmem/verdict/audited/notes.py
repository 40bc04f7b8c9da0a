"""What a reader must know of an audit: skipped, gone and pending checkpoints, what a budget cut."""

from __future__ import annotations

from overmem.artifacts.manifest import Manifest
from overmem.axes import CORE
from overmem.formatting import base_left_out_text, until_decided_text


def audit_notes(manifest: Manifest, n_shared: int) -> list[str]:
    """What was left out of an audit, or is not done yet, a sentence each.

    Args:
        manifest: of the audit.
        n_shared: val problems that were measured at every checkpoint.
    """
    notes = [f"{name} was skipped: {reason.splitlines()[0]}" for name, reason in manifest.skipped.items()]
    if gone := manifest.gone:
        notes.append(
            f"{', '.join(gone)}: measured before and no longer in the run's folder, so not judged; where "
            "perplexity was lowest there, what is left looks the better for it"
        )
    pending = manifest.pending
    if pending:
        notes.append(
            f"the audit was stopped before {pending[0]}: {len(pending)} checkpoint(s) are not measured yet; "
            "run `overmem audit` again to finish"
        )
    notes += [
        f"{axis} was measured on {cut['measured']} of {cut['asked']} problems, for the budget"
        if cut["measured"]
        else f"{axis} was not measured: {cut['why']}"
        for axis, cut in manifest.cut.items()
    ]
    if why := manifest.base_left_out:
        notes.append(base_left_out_text(why))
    stopping = manifest.until_decided
    if stopping is not None and stopping["decided"]:
        return notes if n_shared > stopping["problems"] else [*notes, until_decided_text(stopping)]
    n_val = manifest.asked_val
    if n_shared < n_val and not set(CORE) & set(manifest.cut):
        notes.append(
            f"only {n_shared} of {n_val} problems were measured at every checkpoint; "
            "run `overmem audit` again to finish"
        )
    return notes
