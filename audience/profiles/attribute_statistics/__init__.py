"""How often attributes are there and with which values, counted now and then."""
