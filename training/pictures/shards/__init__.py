"""Pictures in archives: WebDataset's tar shards, and parquet as Hugging Face writes it."""
