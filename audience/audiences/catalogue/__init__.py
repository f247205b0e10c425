"""The audiences of an app: making, changing, listing them."""
