"""The Figure dock: save the view as a figure for print."""
