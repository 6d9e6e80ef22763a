"""How examples are looked for in this folder."""

from hypothesis import settings

# No deadline for a single example: the machine is shared, and pytest's own time-out watches the whole test.
settings.register_profile("kernel", deadline=None)
settings.load_profile("kernel")
