"""A zero-trust policy decision point over Casbin."""
