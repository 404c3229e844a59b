"""The docks, one folder each where a dock has several cards; what they share is in this folder itself."""
