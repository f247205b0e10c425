"""The keys that sign access tokens and receipts."""
