"""Multiple choice about a small world made by rule: knowledge, and one or two steps of inference.

The world of invented animals never changes, so a model has to learn it, as science and commonsense
questions ask for what is known; what is told in a question is who has which animal. The solutions come
in many wordings, forward and backward, as in `wordmath`, in words that the bundled organism's
tokenizer knows.

Splits never share a question, whatever its wording or order: the hash of what is told and asked
decides which split may hold it.

    world.py      the animals, their kinds and families, and what each does
    wording.py    the wordings of questions and solutions
    problems.py   a question drawn at random, and the facts that answer it
    solutions.py  a question as text
    splits.py     the splits and their examples
    local_perturbations.py  the same question with another answer, or told in another order
"""

from overmem.synthetic.facts.local_perturbations import in_another_order, with_another_owner
from overmem.synthetic.facts.problems import Problem, Split, chain
from overmem.synthetic.facts.solutions import GRADER, write_prompt, write_solution
from overmem.synthetic.facts.splits import SPLITS, load_split, recall_problem
from overmem.synthetic.facts.world import WORLD, World

__all__ = [
    "GRADER",
    "SPLITS",
    "WORLD",
    "Problem",
    "Split",
    "World",
    "chain",
    "in_another_order",
    "load_split",
    "recall_problem",
    "with_another_owner",
    "write_prompt",
    "write_solution",
]
