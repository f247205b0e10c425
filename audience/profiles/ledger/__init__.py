"""The merge ledger: every merge with both documents as they were, and every refusal."""
