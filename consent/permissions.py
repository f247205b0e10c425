"""Which scope an authorized operation of consent needs: operation -> scope."""

PERMISSIONS: dict[str, str] = {}
