"""Requests as they arrive: from the browser's form, or noted by the team."""
