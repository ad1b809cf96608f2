"""Generated from proto/pdp/extauthz. Only pdp.api imports it."""
