"""What is measured, a file a step: each has ``measure(place)``."""
