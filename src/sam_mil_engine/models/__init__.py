"""One card for each model, and one registry that finds models by name. Imports no method and not torch."""
