"""Measurements: each file is a command that prints what the docs quote."""
