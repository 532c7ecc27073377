"""A finished search's networks, ranked anew."""
