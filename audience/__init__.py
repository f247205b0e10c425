"""The audience manager: profiles, merging, attributes, audiences."""
