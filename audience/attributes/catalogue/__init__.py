"""The attributes of an app in the authorized API."""
