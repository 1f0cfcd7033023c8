"""Tasks: one application each, from files to a model that is used."""
