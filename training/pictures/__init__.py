"""Picture files, and data sets that need none, as tensors in fair splits."""
