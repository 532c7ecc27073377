"""What every command needs and no network is: command lines, units, the host's memory."""
