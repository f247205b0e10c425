"""What the public API may read of a profile."""
