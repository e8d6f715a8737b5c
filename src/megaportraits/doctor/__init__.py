"""What is wrong with a driver and a photo, before anything is animated: findings, numbers, what to do."""

from megaportraits.doctor.command import doctor
from megaportraits.doctor.driver import driver_findings
from megaportraits.doctor.findings import Finding, Level
from megaportraits.doctor.photo import photo_findings

__all__ = ["Finding", "Level", "doctor", "driver_findings", "photo_findings"]
