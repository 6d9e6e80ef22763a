"""Everything on one machine: an embedded PostgreSQL, a demo merchant's shop, a sandbox provider, and a seeded site."""
