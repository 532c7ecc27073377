"""One training: batches, steps, memory, what is measured on the way."""
