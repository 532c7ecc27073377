"""Starting from what is already learned: a parent's weights, and what its children are worth."""
