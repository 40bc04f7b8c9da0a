"""Word problems made by rule: the task of the bundled organism.

The truth is known exactly: every problem is a list of steps over small numbers, every solution is
one of many valid wordings of those steps, in any valid order. The many wordings are the point. A
model that has learned the task spreads its probability over them; one that memorizes its training
set bets on the wording it happened to see, so test perplexity rises while the answers stay right.

Splits never share a problem: the hash of the question decides which split may hold it.

    wording.py    people, things, operations, and the wordings of questions and solutions
    problems.py   a problem and its steps, drawn at random
    solutions.py  a problem as text
    splits.py     the splits and their examples
    renumber.py   the same problem with other numbers
"""

from overmem.synthetic.wordmath.problems import LARGEST, Split, Step, compute, make_problem
from overmem.synthetic.wordmath.renumber import with_new_numbers
from overmem.synthetic.wordmath.solutions import GRADER, word_step, write_solution
from overmem.synthetic.wordmath.splits import (
    SPLITS,
    VAL_OTHER_STYLE,
    draw_examples,
    load_split,
    recall_problem,
)
from overmem.synthetic.wordmath.wording import (
    BOTH,
    CHANGES,
    COMPARISONS,
    ITEMS,
    NAMES,
    UNSEEN_CHANGES,
)

__all__ = [
    "BOTH",
    "CHANGES",
    "COMPARISONS",
    "GRADER",
    "ITEMS",
    "LARGEST",
    "NAMES",
    "SPLITS",
    "UNSEEN_CHANGES",
    "VAL_OTHER_STYLE",
    "Split",
    "Step",
    "compute",
    "draw_examples",
    "load_split",
    "make_problem",
    "recall_problem",
    "with_new_numbers",
    "word_step",
    "write_solution",
]
