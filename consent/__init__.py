"""The consent service, and the application that joins both packages."""
