"""Changes of single profiles by hand: merging, splitting, deleting, undoing a merge."""
