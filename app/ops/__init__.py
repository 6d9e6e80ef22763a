"""How the machine feels: health, readiness and numbers for operations."""

from app.ops.health import Check, checks

__all__ = ["Check", "checks"]
