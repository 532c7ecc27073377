"""What the command line of the network search is made of."""
