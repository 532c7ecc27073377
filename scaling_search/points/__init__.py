"""Networks of one realised cost in every direction of depth, width and resolution."""
