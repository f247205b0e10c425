"""The consent metrics, and adding up days that are over."""
