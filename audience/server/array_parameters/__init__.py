"""Rows of a statement as one array for each column."""
