"""Questions about definitions: whom would it match, and why (not) this one."""
