"""Answers against accuracies and optima that are known."""
