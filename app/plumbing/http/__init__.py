"""Outgoing HTTP: the one place that opens connections to strangers, behind an interface of our own.

What a peer can do to us is bounded on every side: one deadline over the whole call (a client's own time-outs
count per read: a peer that drips a byte now and then holds a call for ever), a limit on the answer before and
after unpacking, no redirects, no cookies, no proxies from the environment. A peer that hangs fills its own
bulkhead and nobody else's; one that fails is left alone by its breaker. Every dial is judged (`addresses`).
Nothing is retried here: only the worker repeats, because only it knows what a repetition means.

`calls` has the words, `client` the bulkheads, breakers and the deadline, `names` what a name leads to, `wire`
the library beneath, `streams` one connection of it.
"""

from app.plumbing.http.calls import CallFailed, FailureKind, PeerLimits, PeerState, Reply
from app.plumbing.http.client import HttpClient
from app.plumbing.http.names import Resolver
from app.plumbing.http.wire import Dial

__all__ = ["CallFailed", "Dial", "FailureKind", "HttpClient", "PeerLimits", "PeerState", "Reply", "Resolver"]
