"""Decisions that are too old to count: the profiles are told."""
