"""The profile: identifiers, merging, actions, reads."""
