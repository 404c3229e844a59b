"""Mutated files for every reader of foreign files; ``benchmarks/fuzz.py`` runs them."""
