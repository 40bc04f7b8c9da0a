"""What several answers to one problem show: how a vote among them ends, and how alike they are."""
