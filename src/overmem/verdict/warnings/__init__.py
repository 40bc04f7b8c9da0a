"""What a reader of a verdict must be warned of: weak evidence, other styles, changed folders."""
