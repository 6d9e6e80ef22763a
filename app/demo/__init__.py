"""Everything on one machine.

An embedded PostgreSQL, a demo merchant's shop, a sandbox provider, and a seeded site.
"""
