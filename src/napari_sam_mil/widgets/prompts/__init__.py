"""The Prompts dock: SAM segments with clicks and boxes."""
