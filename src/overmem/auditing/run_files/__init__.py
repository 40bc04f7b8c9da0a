"""What the files of a run folder say of its training: the data, the template, the model it started from."""
