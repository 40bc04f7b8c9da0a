"""What other tools write a run's log as, each read into the same record."""
