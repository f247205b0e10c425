"""Access exports: stored in parts, put together as a ZIP when they are downloaded."""
