"""Where picture files are kept: folders, tar shards of WebDataset's form, Hugging Face's parquet."""
