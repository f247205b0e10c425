"""What an app has set about data subject requests."""
