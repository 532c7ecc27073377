"""A training kept on disk while it lasts, so that a kill loses minutes and Ctrl-C nothing."""
