"""Consent types, the form and its texts in versions, the container that browsers load."""
