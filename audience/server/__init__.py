"""The process: settings, database, batches, answers; knows no feature."""
