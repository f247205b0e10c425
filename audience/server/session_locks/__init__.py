"""Advisory locks that a connection holds for its session, from batch to batch."""
