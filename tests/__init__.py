"""The tests: one folder a room, with the same names; see docs/decisions for what each kind asks."""
