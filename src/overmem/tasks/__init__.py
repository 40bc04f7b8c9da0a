"""What we ask: reading examples, and rendering them as a model sees them.

Nothing here imports torch, transformers, datasets, polars or math-verify until it is used.
"""

from overmem.grading.grade import Grade, Grader, check_gradable, get_grader
from overmem.rendering.proof import preview
from overmem.rendering.render import render
from overmem.rendering.rendered import Rendered, check_fits, check_vocab, data_fingerprint, fingerprint
from overmem.rendering.template import Template
from overmem.tasks.examples import Shape
from overmem.tasks.files import read_examples
from overmem.tasks.sources import LoadedData, load_examples

__all__ = [
    "Grade",
    "Grader",
    "LoadedData",
    "Rendered",
    "Shape",
    "Template",
    "check_fits",
    "check_gradable",
    "check_vocab",
    "data_fingerprint",
    "fingerprint",
    "get_grader",
    "load_examples",
    "preview",
    "read_examples",
    "render",
]
