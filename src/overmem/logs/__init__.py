"""What training logs say: read from whatever wrote them into one history, then judged without a model."""
