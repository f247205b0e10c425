"""Who is in which audience: decided from definitions, stored with the profile's change."""
