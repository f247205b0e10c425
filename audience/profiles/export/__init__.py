"""Streaming the profiles of an audience as CSV or JSON."""
