"""Declaring attributes and converting them to another type, under the lock of their values."""
