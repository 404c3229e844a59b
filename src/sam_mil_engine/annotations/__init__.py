"""Annotations: read them from other tools and compare segments with them."""
