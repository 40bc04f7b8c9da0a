"""Knights and knaves, made by rule: logic puzzles in words, each with exactly one solution.

Knights say only what is true, knaves only what is false; who is what? The puzzles are those of
2410.23123, which measured memorization by them, with solutions in many wordings and orders as in
`wordmath`, in words that the bundled organism's tokenizer knows.

Splits never share a puzzle, whatever its order or the words around it: the hash of what is said decides which
split may hold it.

    wording.py    people, kinds of statement, and the wordings of questions and solutions
    problems.py   a puzzle drawn at random, and its solution by trying all roles
    solutions.py  a puzzle as text
    splits.py     the splits and their examples
    local_perturbations.py  the same puzzle with one leaf or statement changed, or in another order
"""

from overmem.synthetic.knights.local_perturbations import (
    in_another_order,
    with_another_leaf,
    with_another_statement,
)
from overmem.synthetic.knights.problems import Leaf, Puzzle, Split, Statement, reasons, solve
from overmem.synthetic.knights.solutions import GRADER, write_prompt, write_solution
from overmem.synthetic.knights.splits import SPLITS, load_split, recall_puzzle
from overmem.synthetic.knights.wording import TRAINED_KINDS, UNSEEN_KINDS

__all__ = [
    "GRADER",
    "SPLITS",
    "TRAINED_KINDS",
    "UNSEEN_KINDS",
    "Leaf",
    "Puzzle",
    "Split",
    "Statement",
    "in_another_order",
    "load_split",
    "reasons",
    "recall_puzzle",
    "solve",
    "with_another_leaf",
    "with_another_statement",
    "write_prompt",
    "write_solution",
]
