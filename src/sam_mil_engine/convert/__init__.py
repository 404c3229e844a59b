"""Bags and tables from other tools, to other tools, and groups for features that exist."""
