"""How several processes share one network: a stage each, or a piece of every tensor."""
