"""Bags and tables from other tools, to other tools, and groups for existing features."""
