"""Conformance suites for what others write: inherit a class, name what is tested, run pytest."""
