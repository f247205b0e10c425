"""Who did what in the authorized API."""
