"""Generated: the messages of Envoy's external authorization service, version 3."""
