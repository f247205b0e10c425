"""The one write path: every change of a profile."""
