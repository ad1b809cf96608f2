"""Continuous verification: an OpenID Shared Signals receiver, by push and poll, and the management of streams."""

from pdp.signals.errors import SetError, SetErrorCode, TransmitterError
from pdp.signals.http import TransmitterHttp
from pdp.signals.poll import Poller
from pdp.signals.receiver import SignalReceiver
from pdp.signals.settings import SignalSettings
from pdp.signals.streams import StreamClient

__all__ = [
    "Poller",
    "SetError",
    "SetErrorCode",
    "SignalReceiver",
    "SignalSettings",
    "StreamClient",
    "TransmitterError",
    "TransmitterHttp",
]
