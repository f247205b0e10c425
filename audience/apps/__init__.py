"""Organizations and apps."""
