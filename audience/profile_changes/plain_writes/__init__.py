"""Writes for which nothing of a profile must be read: the usual ones, one statement a batch."""
