"""The Slides dock: the slides of a project, a run or predictions, and the worklist."""
