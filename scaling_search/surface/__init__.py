"""Accuracy over the ways to scale: its model, its optimum, which training tells most."""
