"""What two audits did differently: reasons why they cannot be compared, and what a reader must be told."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from overmem.artifacts.manifest import Manifest
from overmem.artifacts.store import Store
from overmem.errors import ArtifactError
from overmem.formatting import joined

Side = Sequence[tuple[Store, Manifest]]
Unlike = dict[str, tuple[str, str]]
"""What differs, by name: as it was for A and for B."""
_TEXT = ("prompt", "completion")
_PRECISION = "precision"
_SHOWN = 60
"""Characters of a property in the message."""


def refuse_unlike(a: Side, b: Side) -> None:
    """Refuse two runs whose problems, tokens, grading or precision differ: figures would differ for that.

    Likelihoods in bfloat16 or of 4-bit weights are other figures than those of the same model in float32, and
    so are its answers. Where an imported run does not say its precision, that is a remark, no refusal.

    Args:
        a: the audits of A, one a seed.
        b: of B.

    Raises:
        ArtifactError: so it is; every difference is named. Or shares right alone were imported.
    """
    for store, manifest in (*a, *b):
        if manifest.imported is not None and manifest.imported.scores:
            raise ArtifactError(
                "these runs cannot be compared: shares right alone were imported, which cannot be paired",
                got=f"no row a problem in {store.root}",
                expected="which problems are right",
                next_step="import the samples: `lm_eval --log_samples`, or a table of example_id, correct",
            )
    found: Unlike = {}
    if not shared_problems(a, b):
        found |= _why_no_problem_is_shared(a, b)
    found |= _unlike("grader of val", a, b, lambda manifest: manifest.val.grader)
    if len({manifest.val.example_ids for _, manifest in (*a, *b)}) == 1:
        found |= _unlike("reference answers", a, b, lambda manifest: manifest.val.answers or "")
    if all(manifest.dtype for _, manifest in (*a, *b)):
        found |= _unlike(_PRECISION, a, b, lambda manifest: manifest.precision)
    if found:
        said = [f"{name}: {_short(left)} (A), {_short(right)} (B)" for name, (left, right) in found.items()]
        raise ArtifactError(
            "\n".join(["these runs cannot be compared, since they were not measured alike:", *said]),
            expected="the same val problems, rendered and graded alike, in the same precision",
            next_step=_next_step(found),
        )


def _next_step(found: Unlike) -> str:
    """The options of an audit to give alike."""
    options = ["--dtype", "--quantize"] if _PRECISION in found else []
    if found.keys() - {_PRECISION}:
        options = ["--val", "--template", "--grader", *options]
    return f"run `overmem audit` on both with the same {joined(options)}"


def _short(value: str) -> str:
    return value if len(value) <= _SHOWN else f"{value[: _SHOWN - 3]}..."


def measured_otherwise(a: Side, b: Side) -> Unlike:
    """What differs in how the same problems were measured, and may be the cause of a difference."""
    return {
        **_unlike("precision and engine", a, b, lambda manifest: manifest.measured_in),
        **_unlike("longest answer in tokens", a, b, lambda manifest: str(manifest.val.max_new_tokens)),
    }


def shared_problems(a: Side, b: Side) -> int:
    """Val problems that all audits have, with the same tokens."""
    return len(set.intersection(*({*_shas(manifest).items()} for _, manifest in (*a, *b))))


def _shas(manifest: Manifest) -> Mapping[str, str]:
    return dict(zip(manifest.val.example_ids, manifest.val.example_shas, strict=True))


def _why_no_problem_is_shared(a: Side, b: Side) -> Unlike:
    """The template, the data or the tokenizer, told from the first audits of either side."""
    (store_a, left), (store_b, right) = a[0], b[0]
    ids = _shas(left).keys() & _shas(right).keys()
    data = {
        "val": (f"{left.val.source} ({left.val.n} problems)", f"{right.val.source} ({right.val.n} problems)")
    }
    if not ids or _texts(store_a, ids) != _texts(store_b, ids):
        return data
    mine, theirs = ({**manifest.config.get("template", {})} for manifest in (left, right))
    fields = {
        f"template {name}": (repr(mine.get(name)), repr(theirs.get(name)))
        for name in sorted(mine.keys() | theirs.keys())
        if mine.get(name) != theirs.get(name)
    }
    return fields or {"tokenizer or its chat template": ("other tokens of the same text", "likewise")}


def _texts(store: Store, ids: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Prompt and completion of some val problems; nothing where the texts were not kept."""
    if not store.has_texts():
        return {}
    rows = store.read_texts().filter(set="val").select("example_id", *_TEXT).iter_rows()
    return {name: tuple(texts) for name, *texts in rows if name in ids}


def _unlike(name: str, a: Side, b: Side, told: Callable[[Manifest], str]) -> Unlike:
    """One property, where the audits do not all have the same."""
    sides = [sorted({told(manifest) for _, manifest in side}) for side in (a, b)]
    if len({*sides[0], *sides[1]}) <= 1:
        return {}
    return {name: (" or ".join(sides[0]), " or ".join(sides[1]))}
