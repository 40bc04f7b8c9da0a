"""Fine-tune as a recipe says, with TRL, PEFT and a reweighted loss."""
