"""What a search believes of accuracies: features, earlier runs, a model of the trainings."""
