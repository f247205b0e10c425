"""What the authorized API shows of profiles: documents, merges."""
