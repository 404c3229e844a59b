"""Training: data, folds, the loop, metrics and checkpoints."""
