"""The command lines of the scaling search."""
