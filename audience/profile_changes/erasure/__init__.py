"""Erasing a person's profiles, and seeing to it that nothing of them comes back."""
