"""The Segments dock: the table of segments and its link to the image."""
