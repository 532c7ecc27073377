"""Everything that a GPU can tell about the project, by one command: docs/gpu.md."""
