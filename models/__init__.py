"""What a network is: pure data, its cost in closed form, its scaling and its modules."""
