"""Published networks, measured beside what was published."""
