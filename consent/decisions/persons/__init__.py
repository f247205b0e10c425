"""A person's consents for the privacy team: finding, exporting, and making them anonymous."""
