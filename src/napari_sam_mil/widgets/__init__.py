"""The docks. A dock with several cards has a folder; shared parts are in this folder."""
