"""What a network is worth: pictures as tensors in memory, and trainings on them, short and full."""
