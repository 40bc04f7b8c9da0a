"""Robustness variants: the same problem, put another way, with the same answer or a known new one.

A model that has learned a task answers them as it answers the original; one that leans on the text
it has seen loses accuracy. Every variant is deterministic in (seed, variant, example id), so order,
batch size and machine change nothing.

    variants.py  the names, `perturb` and `perturb_all`
    pairing.py   a user's own perturbed file, paired with the clean examples
    text.py      where the problem, its sentences and its headings are in a prompt
    preamble.py, typo.py, layout.py (`format`), distractor.py, rename.py, options.py   one variant each
    languages.py the words of each procedural task, and the variants that it makes by itself
    vocabulary.py, names.py, nouns.py   the words that `rename` knows
"""

from overmem.perturbations.pairing import pair_variant
from overmem.perturbations.variants import VARIANTS, perturb, perturb_all

__all__ = ["VARIANTS", "pair_variant", "perturb", "perturb_all"]
