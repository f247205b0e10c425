"""Consent decisions: what visitors decided, the proof of it, current state, statistics."""
