"""The self-contained HTML page, its charts, and the figure for print."""
