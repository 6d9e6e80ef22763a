"""Gateways, by name: the only place that lists them."""

from collections.abc import Mapping

from app.providers.contract import Gateway
from app.providers.gateways import sandbox

__all__ = ["GATEWAYS"]

GATEWAYS: Mapping[str, Gateway] = {sandbox.GATEWAY.name: sandbox.GATEWAY}
