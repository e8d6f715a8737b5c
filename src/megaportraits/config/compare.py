"""Settings of comparisons: what `megaportraits compare` takes as options."""

from dataclasses import dataclass

from megaportraits.config.checks import at_least
from megaportraits.errors import UserError


@dataclass(frozen=True)
class CompareConfig:
    """`megaportraits compare`: the differences of two evaluations on the same frames, with their uncertainty."""

    a: str
    """The scores.json of an evaluation, or its folder."""
    b: str
    """The same of the other one; it may be the same file."""
    method: str = ""
    """Method whose scores are taken from A, and from B too where --method-b names no other; empty takes what was
    evaluated: "model", of protocol "enhance" "base, enhancer"."""
    method_b: str = ""
    """Method whose scores are taken from B; empty takes the same as from A."""
    output: str = ""
    """JSON file to write; empty writes none."""
    resamples: int = 2000
    """Resamples of the bootstrap."""
    seed: int = 0
    """Seed of the bootstrap."""
    confidence: float = 0.95
    """Share of the resampled differences inside the interval."""

    def __post_init__(self):
        at_least(self, 100, "resamples")
        at_least(self, 0, "seed")
        if not 0 < self.confidence < 1:
            raise UserError(f"confidence is {self.confidence}; give a number between 0 and 1, such as 0.95")
