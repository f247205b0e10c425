"""Saving profiles of which only attributes changed: the usual write."""
