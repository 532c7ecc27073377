"""What a GPU computes by kernels of this project's own."""
