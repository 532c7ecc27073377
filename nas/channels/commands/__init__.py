"""What the command line of the search of channels is made of."""
