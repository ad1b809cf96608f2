"""Risk that reacts: what subjects do is counted, held to limits and to their own habit, and acted on and told."""

from pdp.risk.monitor import RiskMonitor
from pdp.risk.notices import Notices, SigningKeyError
from pdp.risk.outbox import Outbox
from pdp.risk.settings import RiskSettings

__all__ = ["Notices", "Outbox", "RiskMonitor", "RiskSettings", "SigningKeyError"]
