"""What happens to memberships without a request: filling, time passing, daily counts."""
