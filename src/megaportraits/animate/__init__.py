"""Animating a picture: set the source once, drive it by many frames."""

from megaportraits.animate.animator import Animator, Frame
from megaportraits.animate.devices import leave_a_core
from megaportraits.animate.painter import RegionGains
from megaportraits.animate.source import Source
from megaportraits.animate.weights import find_weights
from megaportraits.config import Device, Precision

__all__ = [
    "Animator",
    "Device",
    "Frame",
    "Precision",
    "RegionGains",
    "Source",
    "find_weights",
    "leave_a_core",
]
