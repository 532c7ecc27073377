"""One file for each search method, each an Optuna sampler."""
