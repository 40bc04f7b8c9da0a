"""Find the checkpoints of a run and say which of them can be read.

It looks at names and at headers of files only; it imports neither torch nor transformers.
"""

from overmem.checkpoints.folders import Layout, StepFolder
from overmem.checkpoints.layouts import FINAL, find_folders
from overmem.checkpoints.names import read_number
from overmem.checkpoints.reading import (
    ADAPTER_CONFIG,
    MAX_STEP,
    has_weights,
    read_adapter_config,
    read_checkpoint,
    read_object,
    read_trainer_state,
    require_config,
    stored_weights,
    weight_files,
)
from overmem.checkpoints.run import open_run
from overmem.checkpoints.safetensors_files import (
    check_safetensors,
    plain_name,
    read_header,
    wrapped_names,
    wrapped_prefixes,
)

__all__ = [
    "ADAPTER_CONFIG",
    "FINAL",
    "MAX_STEP",
    "Layout",
    "StepFolder",
    "check_safetensors",
    "find_folders",
    "has_weights",
    "open_run",
    "plain_name",
    "read_adapter_config",
    "read_checkpoint",
    "read_header",
    "read_number",
    "read_object",
    "read_trainer_state",
    "require_config",
    "stored_weights",
    "weight_files",
    "wrapped_names",
    "wrapped_prefixes",
]
