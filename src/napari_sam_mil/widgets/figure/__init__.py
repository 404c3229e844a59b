"""The Figure dock: the view as a figure for print."""
