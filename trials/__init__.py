"""What happened: every evaluation and failure of a search, durable, resumable and parallel."""
