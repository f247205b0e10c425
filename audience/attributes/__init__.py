"""Attribute definitions and the attribute whitelist."""
