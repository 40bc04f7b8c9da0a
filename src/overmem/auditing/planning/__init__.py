"""What an audit will do, how long it will take, and what fits a time budget."""
