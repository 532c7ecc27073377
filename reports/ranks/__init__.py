"""How much of its width a layer uses: the rank of its output, of random layers and trained ones."""
