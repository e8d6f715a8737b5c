"""Alarms: what can go wrong in training, measured while it runs (docs/alarms.md)."""

from megaportraits.training.alarms.board import Alarms, check_folders

__all__ = ["Alarms", "check_folders"]
