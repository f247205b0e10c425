"""Data subject requests: intake, verification, lifecycle, answers (contract E3.10, E4, L3)."""
