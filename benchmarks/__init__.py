"""Measurements: commands that print what the docs quote, and in ``support`` what they share."""
