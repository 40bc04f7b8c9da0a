"""The report as JSON, for programs: the records, and the data behind each exhibit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from overmem.artifacts.manifest import Manifest
from overmem.contamination.record import Contamination
from overmem.records import Repair, Verdict, to_plain
from overmem.reporting import provenance
from overmem.reporting.downloads import Table
from overmem.reporting.exhibits.build import Exhibits
from overmem.reporting.exhibits.tokens import token_table
from overmem.reporting.exhibits.verbatim import verbatim_table

Record = Mapping[str, Any]
REPORT_SCHEMA = "overmem.report/1"
_FROM_MANIFEST = (
    "created",
    "versions",
    "python",
    "device",
    "dtype",
    "config",
    "axes",
    "cut",
    "until_decided",
    "skipped",
)


def json_report(
    verdict: Verdict,
    manifest: Manifest | None,
    repair: Repair | None,
    exhibits: Exhibits | None,
    *,
    contamination: Contamination | None = None,
    run: str,
) -> str:
    """The records and the exhibits' data as one JSON object of schema `overmem.report/1`.

    Undefined figures are null; an exhibit that is not there carries its reason.

    Args:
        verdict: the record.
        manifest: of its audit, if there was one.
        repair: the record, if there is one.
        exhibits: what the rows show, if they are there.
        contamination: what training had of val, by the texts, if it was compared.
        run: the run's folder as it was named.
    """
    record = {
        "schema": REPORT_SCHEMA,
        "run": run,
        "verdict": verdict.to_dict(),
        "repair": None if repair is None else repair.to_dict(),
        "contamination": None if contamination is None else contamination.to_dict(),
        "exhibits": None if exhibits is None else _exhibits(exhibits),
        "measured": None if manifest is None else _measured(verdict, manifest, run),
    }
    return json.dumps(record, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _exhibits(exhibits: Exhibits) -> Record:
    figures = {
        item.name: {
            "title": item.title,
            "reason": item.reason,
            "measured": item.measured,
            "said": dict(item.words),
            "compared": [
                {"earlier": a, "later": b, "difference": text} for (a, b), text in item.compared.items()
            ],
            **_table(item.table),
        }
        for item in exhibits.figures
    }
    tokens, verbatim = exhibits.tokens, exhibits.verbatim
    figures["tokens"] = {"reason": tokens.reason, **_table(token_table(tokens))}
    figures["recited"] = {
        "reason": verbatim.reason,
        "before": verbatim.before,
        "after": verbatim.after,
        "became_verbatim": verbatim.became,
        "ceased": verbatim.ceased,
        "counts": to_plain(verbatim.counts),
        **_table(verbatim_table(verbatim)),
    }
    shown = [{"name": item.name, "roles": list(item.roles)} for item in exhibits.checkpoints]
    return {"checkpoints": shown, "figures": figures}


def _table(table: Table) -> Record:
    return {"columns": list(table.columns), "rows": to_plain(table.rows)}


def _measured(verdict: Verdict, manifest: Manifest, run: str) -> Record:
    sets = [
        {"set": name, "n": n, "source": source, "grader": grader}
        for name, n, source, grader in provenance.sizes(manifest)
    ]
    commands = list(provenance.commands(verdict, manifest, run)) if manifest.config else []
    plain = manifest.to_dict()
    return {**{key: plain.get(key) for key in _FROM_MANIFEST}, "sets": sets, "commands": commands}
