"""Images of slides with what was found on them, and their colours."""
