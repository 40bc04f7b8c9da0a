"""What stands in a log beside its curves and a reader should know: each check returns findings."""
