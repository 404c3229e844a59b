"""Patch encoders and how a slide is run through them."""
