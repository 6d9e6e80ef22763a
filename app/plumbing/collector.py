"""Python's cycle collector, in processes that serve."""

import gc

__all__ = ["spare_the_collector"]


def spare_the_collector() -> None:
    """Let Python's cycle collector look at less, and less often.

    A batch makes tens of thousands of objects that live until it is answered, a deposit some thousands, and
    hardly any are in a cycle. Left alone, the collector walks through everything ever imported in the middle
    of that. To be called once everything is imported.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
