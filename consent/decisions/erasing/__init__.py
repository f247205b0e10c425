"""Removing what a deleted app leaves behind of consents."""
