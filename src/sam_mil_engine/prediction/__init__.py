"""Trained models on slides and bags: scores, files, metrics, and comparison with annotations."""
