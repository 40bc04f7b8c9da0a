"""What people write to train: the schema of recipes, methods, losses, and the base model."""
