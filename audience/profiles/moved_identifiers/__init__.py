"""Identifiers that the merge ledger still tells of, though their profile has lost them."""
