"""Access tokens over HTTP."""
