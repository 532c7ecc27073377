"""Where evaluations run: processes of this machine, nodes of a Ray cluster."""
