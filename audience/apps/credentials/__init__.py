"""Who may use the authorized API: credentials and their access tokens."""
