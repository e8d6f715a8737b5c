"""What a judge is given and what it gives: columns of one number for each frame, named "REGION_METRIC"; NaN is "no
value"."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from megaportraits.evaluate.protocols import Sample

Pictures = Float[Tensor, "T 3 S S"]
Columns = dict[str, Float[Tensor, " T"]]
Judge = Callable[[Sample, Pictures], Columns]
"""(sample, a method's pictures) -> columns."""
