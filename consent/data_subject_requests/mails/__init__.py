"""Mails: rows that a job sends, with retries; never sent by a request."""
