"""True curves given the rows: their prior, its scales, draws of them, and what more problems would say."""
