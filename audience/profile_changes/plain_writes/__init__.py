"""The usual writes: they set attributes of profiles that are known, and little need be read."""
