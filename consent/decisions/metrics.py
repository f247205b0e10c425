"""What is counted of consent decisions, for Prometheus."""

from prometheus_client import Counter

DECISIONS = Counter("consent_decisions", "Consent decisions stored")
REPETITIONS = Counter("consent_repetitions", "Consent changes that repeated a known one")
