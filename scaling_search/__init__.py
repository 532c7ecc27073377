"""How a network should scale: coefficients found at equal realised cost, and their family."""
