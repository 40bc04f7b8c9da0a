"""Files of other evaluation tools, each read into the same record; no tool has to be installed."""
