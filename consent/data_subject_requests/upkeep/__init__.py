"""What happens to requests by itself: reminders before they are due, retention of their content."""
