"""Membership: how well the loss tells what was trained on from what was not.

Shape suffixes: M members, K non-members, T thresholds.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from overmem.artifacts.evidence import Evidence
from overmem.artifacts.jobs import TRAIN_SCORES, VAL_SCORES
from overmem.axes.grouped import with_groups
from overmem.axes.privacy.attacks import loss_score
from overmem.axes.privacy.figures import attack_measures
from overmem.reporting.downloads import Cell, Table
from overmem.reporting.exhibits.bootstrapped import Bootstrapped, compare, plain_text
from overmem.reporting.exhibits.exhibit import Exhibit, left_out
from overmem.reporting.figures.theme import Figure, Trace, axis, diagonal, layout, rounded
from overmem.stats.arrays import FloatArray

NAME, TITLE = "membership-roc", "Membership: what the loss gives away"
POINTS = 160
"""Most points of a curve that are drawn and written; corners are kept evenly."""
Rows = Mapping[str, pl.DataFrame]


def membership_exhibit(members: Rows, nonmembers: Rows, command: str) -> Exhibit:
    """The ROC of the loss attack at each checkpoint.

    Args:
        members: likelihood rows on train of each checkpoint, aligned.
        nonmembers: the same on val.
        command: what would measure them where there are none.
    """
    names = [name for name in members if name in nonmembers and len(members[name]) and len(nonmembers[name])]
    if not names:
        return left_out(NAME, TITLE, f"no training data were measured; {command}")
    scores = {name: (_score(members[name]), _score(nonmembers[name])) for name in names}
    measures = {name: attack_measures("loss", *pair) for name, pair in scores.items()}
    of = {
        name: Evidence(rows={TRAIN_SCORES: members[name], VAL_SCORES: nonmembers[name]}, texts={})
        for name in names
    }
    auroc, tpr = (
        {name: Bootstrapped.of(with_groups(pair[which], of[name])) for name, pair in measures.items()}
        for which in (0, 1)
    )
    curves = {name: roc_curve(*pair) for name, pair in scores.items()}
    n_members, n_others = (len(side) for side in scores[names[0]])
    return Exhibit(
        name=NAME,
        title=TITLE,
        reading="ROC of an attack that takes the problems with the lowest loss for training data: the share "
        "of the training problems that it finds, against its false alarms. The diagonal is chance.",
        measured=f"n = {n_members:,} training and {n_others:,} validation problems; score: minus NLL per "
        "token; intervals over problems of both sides.",
        figure=_figure({name: _trace(name, curve) for name, curve in curves.items()}),
        table=_table(curves),
        words={name: _words(auroc[name], tpr[name]) for name in names},
        compared=compare(auroc, "AUROC"),
    )


def roc_curve(member_M: FloatArray, nonmember_K: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Shares of non-members and of members at or above each threshold, from (0, 0) to (1, 1).

    Tied scores are flagged together, so the curve has one point a distinct score.

    Args:
        member_M: higher for more likely a member.
        nonmember_K: likewise.

    Returns:
        False and true positive rates, (T,) each, neither falling.
    """
    threshold_T = np.unique(np.concatenate([member_M, nonmember_K]))[::-1]
    rates = []
    for side in (nonmember_K, member_M):
        above_T = len(side) - np.searchsorted(np.sort(side), threshold_T, side="left")
        rates.append(np.concatenate([[0.0], above_T / len(side)]))
    return rates[0], rates[1]


def thin(curve: tuple[FloatArray, FloatArray], points: int = POINTS) -> tuple[FloatArray, FloatArray]:
    """The curve at most `points` points long: corners only, then evenly along its length."""
    fpr_T, tpr_T = curve
    step_T = np.abs(np.diff(fpr_T)) + np.abs(np.diff(tpr_T))
    along_T = np.concatenate([[0.0], np.cumsum(step_T)])
    wanted = np.searchsorted(along_T, np.linspace(0, along_T[-1], points))
    kept = np.unique(np.clip(wanted, 0, len(fpr_T) - 1)) if len(fpr_T) > points else np.arange(len(fpr_T))
    return fpr_T[kept], tpr_T[kept]


def _score(rows: pl.DataFrame) -> FloatArray:
    return loss_score(rows["nll_nats"].to_numpy(), rows["n_tokens"].to_numpy().astype(np.float64))


def _words(auroc: Bootstrapped, tpr: Bootstrapped) -> str:
    return f"AUROC {plain_text(auroc.estimate())}; found at 1% false alarms {plain_text(tpr.estimate())}"


def _trace(name: str, curve: tuple[FloatArray, FloatArray]) -> tuple[Trace, ...]:
    fpr, tpr = thin(curve)
    line: Trace = {
        "type": "scatter",
        "mode": "lines",
        "x": rounded(fpr, 4),
        "y": rounded(tpr, 4),
        "line": {"color": "@series", "width": 2.2, "dash": "@dash"},
        "hovertemplate": "%{y:.1%} of training found<br>at %{x:.1%} false alarms<extra></extra>",
    }
    return (line,)


def _figure(series: Mapping[str, tuple[Trace, ...]]) -> Figure:
    ends = [-0.02, 1.02]
    return Figure(
        layout=layout(
            axis("share of validation problems flagged (false alarms)", range=ends, nticks=6),
            axis("share of training problems found", range=ends, nticks=6),
        ),
        compact={"xaxis.title.text": "false alarms", "yaxis.title.text": "training problems found"},
        base=(diagonal(),),
        series=series,
    )


def _table(curves: Mapping[str, tuple[FloatArray, FloatArray]]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (name, float(fpr), float(tpr))
        for name, curve in curves.items()
        for fpr, tpr in zip(*thin(curve), strict=True)
    ]
    return Table(columns=("checkpoint", "false_positive_rate", "true_positive_rate"), rows=tuple(rows))
