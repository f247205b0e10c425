"""Writing what a batch of collected requests decided."""
