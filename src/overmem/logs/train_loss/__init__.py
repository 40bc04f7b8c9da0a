"""What the training loss alone says: trouble, its staircase at epoch boundaries, the gap to unseen text."""
