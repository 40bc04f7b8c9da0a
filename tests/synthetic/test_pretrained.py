"""The organism's pretrained skills: true, different, and those that its corpus is made of."""

import hashlib
import itertools
import re

from overmem.grading.grade import grade
from overmem.organism.build import write_documents
from overmem.synthetic.pretrained import GRADER, load_split


def test_every_sum_is_true_and_the_last_is_asked():
    examples = load_split("sums")
    assert len({example.prompt for example in examples}) == len(examples) == 1000
    for example in examples[:100]:
        text = example.prompt + example.completion
        sums = re.findall(r"(\d+) ([-+*/]) (\d+) = (\d+)", text)
        assert len(sums) == 6 and all(eval("".join(s[:3])) == int(s[3]) for s in sums)
        assert sums[-1][3] == example.answer and example.prompt.endswith(" =")


def test_problems_are_asked_as_the_corpus_asks_and_graded_whatever_stands_before_the_number():
    for example in load_split("problems", 100):
        assert re.match(r"(Problem|Task|Exercise|Question): ", example.prompt)
        assert example.prompt.endswith(("\nSolution:", "\nWork:"))
        assert example.completion.endswith(f"\nResult: {example.answer}")
        assert grade(example.completion, example, GRADER).correct
        assert grade(f" so it is\n#### {example.answer}", example, GRADER).correct
        assert not grade(f" so it is\n#### {example.answer}1", example, GRADER).correct


def test_the_corpus_is_the_one_that_the_bundled_model_was_made_of():
    """Its first 5,000 documents, as they were before the skills had a module of their own."""
    digest = hashlib.sha256()
    for document in itertools.islice(write_documents(0), 5000):
        digest.update(document.encode())
    assert digest.hexdigest().startswith("b0cae888dff9cf44")
