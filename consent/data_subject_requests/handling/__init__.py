"""What the privacy team does with requests, over the authorized API."""
