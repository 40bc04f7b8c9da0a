"""Watch a fine-tune while it trains: a Trainer callback that leaves the training as it was."""
