# What `overmem/__init__.py` loads on first use, for editors and type checkers; a test keeps both in step.
from overmem.auditing.api.verbs import plan as plan
from overmem.auditing.api.verbs import watch as watch
from overmem.auditing.run import audit as audit
from overmem.checkpoints import open_run as open_run
from overmem.contamination.data_check import data_check as data_check
from overmem.errors import OvermemError as OvermemError
from overmem.grading.grade import grade as grade
from overmem.grading.judges import Grade as Grade
from overmem.merging import merge as merge
from overmem.models.plain_adapter import plain_adapter as plain_adapter
from overmem.monitor.callback import OverMemorizationMonitor as OverMemorizationMonitor
from overmem.recipe.losses import token_weights as token_weights
from overmem.recipe.reading import load_recipe as load_recipe
from overmem.records import Checkpoint as Checkpoint
from overmem.records import CheckpointSummary as CheckpointSummary
from overmem.records import Comparison as Comparison
from overmem.records import Estimate as Estimate
from overmem.records import Example as Example
from overmem.records import Repair as Repair
from overmem.records import Run as Run
from overmem.records import Verdict as Verdict
from overmem.repairing.run import repair as repair
from overmem.reporting.run import report as report
from overmem.rule import Rule as Rule
from overmem.sweeping.run import sweep as sweep
from overmem.tasks.sources import load_examples as load_examples
from overmem.training.reweighted import ReweightedSFTTrainer as ReweightedSFTTrainer
from overmem.training.reweighted import reweighted_loss as reweighted_loss
from overmem.training.trainer import train as train
from overmem.verdict.compare import compare as compare
from overmem.verdict.diagnose import diagnose as diagnose
from overmem.verdict.gate import check as check
from overmem.verdict.judge import judge as judge

__version__: str
