"""`python -m app.cli` is the `cashier` command."""

from app.cli import main

main()
