"""Policies of plain Casbin made into policy folders, with a list of what could not be carried over."""

from pdp.workbench.migrate.convert import Note, Result, convert
from pdp.workbench.migrate.model import CasbinModel, ModelError, read_model

__all__ = ["CasbinModel", "ModelError", "Note", "Result", "convert", "read_model"]
