"""What is saved about a run, and reading it back: the store, the jobs that name rows, the rows themselves."""
