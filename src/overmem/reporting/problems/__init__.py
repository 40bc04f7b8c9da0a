"""Lists that a reader searches: each val problem with its answers, each training row."""
