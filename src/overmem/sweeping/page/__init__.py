"""The page of a sweep: its figure and what stands around it."""
