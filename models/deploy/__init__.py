"""A network handed on: what it expects of pictures, and files for other programs."""
