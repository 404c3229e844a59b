"""Whole jobs: process many slides, and the demonstration."""
