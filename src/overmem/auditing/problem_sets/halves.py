"""Random halves of the problems: things are chosen on one and confirmed on the other."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from overmem.artifacts.evidence import joined_labels
from overmem.auditing.options import Half
from overmem.auditing.problem_sets.problems import Problems
from overmem.rendering.rendered import data_fingerprint


def half_of(
    prompts: Mapping[str, str], half: Half, seed: int, groups: Mapping[str, str] | None = None
) -> frozenset[str]:
    """Ids of one of two random halves of the problems: `search`, where things are chosen, or `confirm`.

    Problems of one wording or one group fall into one half, whatever their ids. Independent of `subset`, so
    that a limit keeps some of either half.

    Args:
        prompts: text of each problem by its id.
        half: which one.
        seed: of the halves.
        groups: label of each problem by its id, equal for those that stand for one another; a problem that is
            not named stands alone.
    """
    if groups:
        joined = joined_labels([prompts, {name: groups[name] for name in prompts if name in groups}])
        first: dict[str, str] = {}
        for name, root in joined.items():
            first[root] = min(prompts[name], first.get(root, prompts[name]))
        prompts = {name: first[root] for name, root in joined.items()}
    order = sorted(
        set(prompts.values()), key=lambda text: hashlib.sha256(f"half/{seed}/{text}".encode()).digest()
    )
    middle = len(order) // 2
    kept = frozenset(order[:middle] if half == "search" else order[middle:])
    return frozenset(name for name, text in prompts.items() if text in kept)


def keep_ids(problems: Problems, ids: frozenset[str]) -> Problems:
    """Those of the problems whose id is among these; how long answers may be stays as it was."""
    kept = [i for i, example in enumerate(problems.examples) if example.id in ids]
    rendered = tuple(problems.rendered[i] for i in kept)
    return replace(
        problems,
        examples=tuple(problems.examples[i] for i in kept),
        rendered=rendered,
        shas=tuple(problems.shas[i] for i in kept),
        fingerprint=data_fingerprint(rendered),
    )
