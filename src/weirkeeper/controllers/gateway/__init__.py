"""The Gateway API controller: Gateways, their listeners, and the routes that attach to them."""

from weirkeeper.controllers.gateway.controller import GatewayController
from weirkeeper.controllers.gateway.settings import GatewaySettings

CONTROLLER = GatewayController(GatewaySettings())
"""With the settings for a folder of files."""

__all__ = ["CONTROLLER", "GatewayController", "GatewaySettings"]
