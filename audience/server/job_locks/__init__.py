"""Which process runs a job."""
