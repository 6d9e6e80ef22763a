"""A seeded simulation of the whole money flow in one process: real rooms, real PostgreSQL, a movable clock.

The peers are stubs with books of their own, by which everything is judged; what goes wrong is drawn from one
generator. The same seed tells the same story.
"""

from app.demo.simulation.canaries import Canary, Victim
from app.demo.simulation.days import simulate
from app.demo.simulation.outcome import Outcome, Plan
from app.demo.simulation.world import opened_database

__all__ = ["Canary", "Outcome", "Plan", "Victim", "opened_database", "simulate"]
