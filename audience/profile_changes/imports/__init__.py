"""Profiles from CSV files: read and checked while they arrive, applied in the background."""
