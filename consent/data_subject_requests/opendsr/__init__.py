"""OpenDSR 2.0: how a controller's system hands requests over and hears of their progress."""
