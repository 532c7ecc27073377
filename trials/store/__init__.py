"""A study on disk or in a database: who drives it, what it holds, how it is read."""
