"""The stand-in provider: an HTTP server that speaks OpenAI's API, whose answers are simulated.

For `sluice demo`, `up`, `try`, tests and benches. Reading order: server (paths), service (the life of a call),
simulated_model (what is said), judging (right and wrong answers), error_model (how they err).
"""

from local.standin.faults import Fault
from local.standin.server import StandIn
from local.standin.settings import StandInSettings

__all__ = ["Fault", "StandIn", "StandInSettings"]
