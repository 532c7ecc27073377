"""Step 1: find the baseline network."""
