"""The consent service under load, and with many decisions."""
