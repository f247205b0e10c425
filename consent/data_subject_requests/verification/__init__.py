"""Proof by mail that an e-mail is the requester's: a link that works once, and a code."""
