"""Animating a picture: set the source once, drive it by many frames."""

from megaportraits.animate.animator import Animator, Device, Frame, animate, leave_a_core, shipped_weights
from megaportraits.animate.source import Source

__all__ = ["Animator", "Device", "Frame", "Source", "animate", "leave_a_core", "shipped_weights"]
