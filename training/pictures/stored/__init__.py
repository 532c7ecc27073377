"""Where picture files are kept: folders, WebDataset's tar shards, Hugging Face's parquet."""
