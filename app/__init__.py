"""The map of the house: one sentence a room, from the top of the stack down. A test keeps it true.

    cli         the `cashier` command, one file a group
    openapi     what the wire promises: the documents in openapi/, written and compared
    main        composes the web process
    worker      composes the job process
    demo        everything on one machine: embedded PostgreSQL, a demo shop, a sandbox provider, seeded sites
    wiring      opens database, http and gateways: once, for every process and for tests
    cashier     the page a player sees
    ops         how the machine feels
    payments    the life of one deposit, payout or refund, from asked to settled
    wallet      the player's balance as game platforms use it: transfers, rounds, bets, wins, rollbacks
    callouts    what we ask the merchant's server, and wait for
    webhooks    what we tell the merchant's server, and repeat until heard
    providers   who moves the money: one contract, many gateways
    methods     ways to pay: what each needs from the player, where it is offered; saved instruments
    players     who pays: one person at one site
    staff       who may sit at the desk: operators, roles, approvals, and the diary of what each one did
    ledger      what is owned: accounts, transfers, entries, holds
    merchants   whom we serve: merchants, their sites, keys, and what each site has switched on
    plumbing    pipes; know no business
    settings    reads the environment: once
    kernel      words everyone uses; pure

A room may lean only on rooms below it and is entered by its door, `app/<room>/__init__.py`. Which rooms are
strangers to each other, and what a room looks like inside, is told in docs/decisions/0001-structure.md and
held by the import contracts of pyproject.toml.
"""
