"""One file for each report that is of no run and needs rooms above this one."""
