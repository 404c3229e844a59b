"""The Prompts dock: click or drag, and SAM answers."""
