"""Tables that people, spreadsheets and other tools write: CSV in and out, and what its cells and columns mean."""
