"""Batches for a training: pictures varied at random, from memory or from disk."""
