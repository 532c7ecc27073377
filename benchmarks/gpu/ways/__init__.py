"""Ways to train on one device, and what the device can do at most."""
