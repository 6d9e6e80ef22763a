"""The kernel: words everyone uses.

It promises values that cannot be wrong once they exist: `money` (integer minor units, named roundings, parts
that sum exactly), `ids` (prefixed, sortable), `clock` (time as something handed in), `errors` (a refusal is a
sentence), `signing` (the merchants' SHA-1 rule and the strict grammar that makes it safe) and `masking` (what
a log may show).

It owns no tables, opens no sockets and reads no environment: everything here is pure, so that every room may
lean on it. It refuses floats as money, operators between currencies, and signed requests that could be read
in two ways.

The kernel has no single door: its modules are the words, imported by name (`from app.kernel.money import
Money`).
"""
