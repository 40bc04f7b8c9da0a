"""Privacy: how well it can be told which problems were trained on (membership inference).

Members are the train subset, non-members are val. An attack gives each completion a score, higher for "more
likely trained on"; the figures say how well the scores part the two sets. A model that has not memorized
leaves AUROC at 0.5 and recall at 1%. That holds only if train and val come from one distribution:
`same_distribution` looks for signs that they do not.

    attacks.py            the scores
    figures.py            the worst attack's figures, and each attack's
    worst_case.py         the worst of them, chosen on one half and read on the other
    at_checkpoints.py     the same from saved rows, with intervals
    exposure.py           what is remembered of canaries
    same_distribution.py  when not to believe them
"""

from overmem.axes.axis import Axis
from overmem.axes.privacy.figures import jobs, measures
from overmem.axes.privacy.same_distribution import distribution_warnings

AXIS = Axis(
    name="privacy",
    tells="how well training data can be told from other data (membership inference)",
    jobs=jobs,
    measures=measures,
    needs="it needs the training data: pass --train",
    sets=("canaries",),
    uses_base=True,
    warnings=distribution_warnings,
)
