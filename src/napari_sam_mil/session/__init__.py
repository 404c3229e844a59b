"""The open slides of a viewer, and the layers that show them."""
