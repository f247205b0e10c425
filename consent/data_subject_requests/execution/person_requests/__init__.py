"""Every request of one person, and erasing what they hold of the person."""
