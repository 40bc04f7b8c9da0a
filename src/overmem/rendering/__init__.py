"""From an example to token ids, those that training had, and which of them are scored."""
