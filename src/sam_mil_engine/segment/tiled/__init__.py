"""Segments at a physical resolution: tiles of the tissue, each segmented on its own, joined over their borders."""
