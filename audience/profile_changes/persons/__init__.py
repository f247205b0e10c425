"""A person's profiles for the privacy team: finding, exporting and correcting them."""
