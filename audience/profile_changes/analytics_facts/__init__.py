"""Facts of the analytics system: visits, goals, orders and what is known of the browser."""
