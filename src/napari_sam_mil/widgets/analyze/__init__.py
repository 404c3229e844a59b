"""The Analyze dock: from the button *Segment/Classify* to the result."""
