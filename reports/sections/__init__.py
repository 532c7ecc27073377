"""What the pages of several kinds of run have in common."""
