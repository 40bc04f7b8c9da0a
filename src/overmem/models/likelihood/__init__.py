"""How probable a model finds tokens that are given: references, and the answers of another model."""
