"""The docks: each reads the session of the open slide, calls the engine, and shows."""
