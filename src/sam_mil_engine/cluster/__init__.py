"""Slides and folds on many processes or machines, through dask.distributed."""
