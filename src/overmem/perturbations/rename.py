"""`rename`: other people and other objects, the same numbers.

Each name and each object is replaced by one that does not occur in the problem, everywhere it occurs.
The answer stays, and the completion is not touched: what is compared is accuracy.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping

from overmem.perturbations.nouns import NOT_RENAMED_BESIDE, Noun
from overmem.perturbations.text import words_of
from overmem.perturbations.vocabulary import Vocabulary


def rename(text: str, rng: random.Random, answer: str, vocabulary: Vocabulary) -> str | None:
    """Replace the names and objects of a prompt consistently, as whole words.

    Args:
        text: a prompt; names in it are recognised capitalised or in capitals, objects in any case.
        rng: chooses the replacements.
        answer: words of it are neither replaced nor used, since the answer must stay right.
        vocabulary: the words known.

    Returns:
        The prompt renamed; None when it has no known name or object.
    """
    names = _draw_names(text, rng, answer, vocabulary)
    nouns = _draw_nouns(text, rng, answer, vocabulary)
    if not names and not nouns:
        return None
    known = "|".join(map(re.escape, sorted({**names, **nouns}, key=len, reverse=True)))
    pattern = re.compile(
        rf"(?<![\w\\])(?:(?P<article>[Aa]n?)(?P<space>\s+))?(?P<word>{known})(?P<own>['\u2019](?=\s+\w))?(?!\w)"
    )
    return pattern.sub(lambda match: _replace(match, names, nouns), text)


def _draw_names(text: str, rng: random.Random, answer: str, vocabulary: Vocabulary) -> dict[str, str]:
    """Every spelling of each name in the text, with what replaces it."""
    written, kept = set(re.findall(r"\w+", text)), words_of(answer)
    used = words_of(text) | kept
    mapping: dict[str, str] = {}
    for group in vocabulary.names:
        present = [name for name in group if {name, name.upper()} & written and name.casefold() not in kept]
        free = [name for name in group if name.casefold() not in used]
        for old, new in zip(present, rng.sample(free, min(len(present), len(free))), strict=False):
            mapping |= {old: new, old.upper(): new.upper()}
    return mapping


def _draw_nouns(text: str, rng: random.Random, answer: str, vocabulary: Vocabulary) -> dict[str, str]:
    """Every spelling of each object in the text, singular and plural, with what replaces it."""
    kept = words_of(answer)
    used = words_of(text) | kept
    mapping: dict[str, str] = {}
    for group in vocabulary.nouns:
        present = [noun for noun in group if used & set(noun) and not kept & set(noun)]
        present = [noun for noun in present if not _means_more(noun, text, used)]
        free = [noun for noun in group if not used & set(noun) and noun[1] != "toys"]
        for old, new in zip(present, rng.sample(free, min(len(present), len(free))), strict=False):
            for recase in (str.lower, str.capitalize, str.upper):
                mapping |= {recase(before): recase(after) for before, after in zip(old, new, strict=True)}
    return mapping


def _means_more(noun: Noun, text: str, words: frozenset[str]) -> bool:
    """Whether a noun is more than an object here: a measure (`cups of flour`), a word for others."""
    if words & NOT_RENAMED_BESIDE.get(noun[1], frozenset()):
        return True
    return re.search(rf"(?i:\b(?:{noun[0]}|{noun[1]})\s+of)\s+[a-z]", text) is not None


def _replace(match: re.Match[str], names: Mapping[str, str], nouns: Mapping[str, str]) -> str:
    old, variants = match["word"], match["own"] or ""
    new = names.get(old) or nouns[old]
    if variants and old in names and old[-1] in "sS" and new[-1] not in "sS":
        variants += "s"  # James' becomes Ben's
    return _fit_article(match["article"], old, new) + (match["space"] or "") + new + variants


def _fit_article(article: str | None, old: str, new: str) -> str:
    """`an` before a vowel and `a` before none, where the text kept to it."""
    if article is None:
        return ""
    if article.lower() != _article(old):
        return article
    return article[0] + _article(new)[1:]


def _article(noun: str) -> str:
    return "an" if noun[0].lower() in "aeiou" else "a"
