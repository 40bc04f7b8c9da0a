"""Fine-tune as a recipe says, with TRL, PEFT and a reweighted loss."""

from overmem.extras import check_extra

# Of another TRL than is meant the modules import well, and fail in the middle of a training.
check_extra("train", "training")
