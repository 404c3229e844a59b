"""Aggregators: multiple-instance learning models, one file each."""
