"""The jobs of an audit: the model they need, their batches, what names their rows, the rows themselves."""
