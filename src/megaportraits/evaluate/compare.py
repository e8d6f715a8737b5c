"""`megaportraits compare`: what changed between two evaluations on the same frames.

Frames of one sample resemble each other, so the bootstrap draws whole samples with replacement.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from megaportraits.checkpoint import write_json
from megaportraits.config.compare import CompareConfig
from megaportraits.errors import UserError
from megaportraits.evaluate.columns import column
from megaportraits.evaluate.results import Results, Row, read_results
from megaportraits.evaluate.tables import markdown_text

Verdict = Literal["better", "worse", "higher", "lower", "no difference shown"]
Pair = tuple[Row, Row]
"""The same frame in A and in B."""
_FEW_SAMPLES = 10
_SAME_YAW_DEG, _SAME_MOVED = 0.5, 0.005
"""Wanted heads that differ by more than this are not of the same frame."""
_LEGEND = """
Means over the frames that have the score in both. Better, worse: B is so, and zero is outside the interval. Every
interval holds for itself: of many scores without any difference, some are expected to look different.
"""


@dataclass(frozen=True)
class Difference:
    """One score in A and B, over the frames in which both have it."""

    a: float
    b: float
    difference: float
    """B - A."""
    low: float | None
    """Bounds of the interval; None where there is one sample only."""
    high: float | None
    verdict: Verdict
    """Of B; higher and lower where no direction is better."""
    frames: int
    samples: int


@dataclass(frozen=True)
class Comparison:
    """All scores of both evaluations."""

    frames: int
    """In both."""
    samples: int
    scores: dict[str, Difference]
    left_out: dict[str, str]
    """Scores that cannot be compared, and why not."""
    warnings: list[str]


def compare(config: CompareConfig) -> None:
    """Print how B differs from A on the same frames; write it as JSON where --output names a file.

    Raises:
        UserError: the evaluations cannot be compared, or a file cannot be read or written.
    """
    a, b = read_results(config.a), read_results(config.b)
    found = compared(a, b, config)
    print(_text(found, config, a, b), end="")
    if config.output:
        facts = {"schema_version": 1, "protocol": a.protocol, "size_px": a.size_px}
        method_a, method_b = _methods(a, config)
        sides = {"a": _side(config.a, a, method_a), "b": _side(config.b, b, method_b)}
        settings = {"resamples": config.resamples, "seed": config.seed, "confidence": config.confidence}
        write_json(Path(config.output), facts | sides | settings | asdict(found))


def compared(a: Results, b: Results, config: CompareConfig) -> Comparison:
    """Every score that one method of A and one of B have, on their common frames.

    Raises:
        UserError: other protocols or picture sizes, an unknown method, or no common frames.
    """
    _check_alike(a, b)
    method_a, method_b = _methods(a, config)
    rows_a, rows_b = _rows_of(a, "A", method_a), _rows_of(b, "B", method_b)
    pairs = [(rows_a[key], rows_b[key]) for key in rows_a if key in rows_b]
    if not pairs:
        raise UserError("A and B have no frame of any sample in common; evaluate both on the same data with one seed")
    scores, left_out = {}, {}
    for key in dict.fromkeys(key for pair in pairs for row in pair for key in row.scores):
        known = [(x, y) for x, y in pairs if x.scores.get(key) is not None and y.scores.get(key) is not None]
        reason = _judged_otherwise(a, b, key) or ("" if known else "no common frame has it in both")
        if reason:
            left_out[key] = reason
        else:
            scores[key] = _difference(key, known, config)
    for key in dict.fromkeys(key for results in (a, b) for scores in results.sets.values() for key in scores):
        left_out[key] = "it is of a whole set of pictures, without frames to pair"
    samples = len({x.sample for x, _ in pairs})
    warnings = _warnings(pairs, samples, len(rows_a) - len(pairs), len(rows_b) - len(pairs))
    return Comparison(len(pairs), samples, scores, left_out, warnings)


def bootstrap_interval(
    differences: Float[np.ndarray, " N"],
    clusters: Int[np.ndarray, " N"],
    resamples: int,
    seed: int,
    confidence: float,
) -> tuple[float, float]:
    """Percentile interval of the mean; every resample draws as many clusters as there are, with replacement.

    Args:
        differences: one number for each frame.
        clusters: which cluster (0, 1, ...) each frame belongs to.
    """
    sums, counts = np.bincount(clusters, differences), np.bincount(clusters)
    drawn = np.random.default_rng(seed).multinomial(len(sums), np.full(len(sums), 1 / len(sums)), resamples)
    tail = (1 - confidence) / 2
    low, high = np.quantile(drawn @ sums / (drawn @ counts), [tail, 1 - tail])
    return float(low), float(high)


def _difference(key: str, pairs: Sequence[Pair], config: CompareConfig) -> Difference:
    values: Float[np.ndarray, "N 2"] = np.array([(x.scores[key], y.scores[key]) for x, y in pairs], float)
    _, clusters = np.unique([x.sample for x, _ in pairs], return_inverse=True)
    mean_a, mean_b = values.mean(0).tolist()
    samples = int(clusters.max()) + 1
    low, high, verdict = None, None, "no difference shown"
    if samples > 1:
        low, high = bootstrap_interval(
            values[:, 1] - values[:, 0], clusters, config.resamples, config.seed, config.confidence
        )
        verdict = _verdict(key, low, high)
    return Difference(mean_a, mean_b, mean_b - mean_a, low, high, verdict, len(pairs), samples)


def _verdict(key: str, low: float, high: float) -> Verdict:
    if low <= 0 <= high:
        return "no difference shown"
    higher, better = low > 0, column(key).metric.better
    if better is None:
        return "higher" if higher else "lower"
    return "better" if higher == (better == "higher") else "worse"


def _check_alike(a: Results, b: Results) -> None:
    if a.protocol != b.protocol:
        raise UserError(f"A is of protocol {a.protocol}, B of {b.protocol}; compare evaluations by the same protocol")
    if a.size_px != b.size_px:
        raise UserError(f"A compared pictures of {a.size_px} px, B of {b.size_px} px; evaluate both at one size")


def _rows_of(results: Results, name: str, method: str) -> dict[tuple[str, int], Row]:
    rows = {(row.sample, row.frame): row for row in results.rows if row.method == method}
    if not rows:
        known = ", ".join(f"'{m}'" for m in dict.fromkeys(row.method for row in results.rows))
        raise UserError(f"{name} has no method '{method}'; it has {known}")
    return rows


def _methods(a: Results, config: CompareConfig) -> tuple[str, str]:
    """The methods of A and of B."""
    first = config.method or a.evaluated
    return first, config.method_b or first


def _judged_otherwise(a: Results, b: Results, key: str) -> str:
    """Why the networks that judged a score forbid comparing it; empty where they are the same."""
    judges = [_judge(results, key) for results in (a, b)]
    if all(judges[0].get(part) == judges[1].get(part) for part in ("sha256", "with")):
        return ""
    names = [f"{j.get('file', '?')} ({j.get('sha256', '?')[:12]})" if j else "no named network" for j in judges]
    return f"judged by {names[0]} in A and by {names[1]} in B"


def _judge(results: Results, key: str) -> dict[str, str]:
    known = column(key)
    named = (results.networks.get(name) for name in (key, known.name, known.metric.title))
    return next((network for network in named if network is not None), {})


def _warnings(pairs: Sequence[Pair], samples: int, only_a: int, only_b: int) -> list[str]:
    out = []
    if only_a or only_b:
        out.append(f"frames only in A: {only_a}, only in B: {only_b}; they are left out")
    other = sum(abs(x.yaw_deg - y.yaw_deg) > _SAME_YAW_DEG or abs(x.moved - y.moved) > _SAME_MOVED for x, y in pairs)
    if other:
        out.append(f"A and B want other heads in {other} of {len(pairs)} frames; were they made of the same data?")
    if samples < _FEW_SAMPLES:
        out.append(f"few samples ({samples}); intervals are too narrow, and missing for one sample")
    return out


def _text(found: Comparison, config: CompareConfig, a: Results, b: Results) -> str:
    method_a, method_b = _methods(a, config)
    lines = [
        f"- A: {method_a}, {config.a}, {_weights(a)}",
        f"- B: {method_b}, {config.b}, {_weights(b)}",
        f"- protocol {a.protocol}, {a.size_px} px, {found.samples} samples, {found.frames} frames in both",
        "",
        *(f"Warning: {warning}\n" for warning in found.warnings),
        f"| score | A | B | B - A | {100 * config.confidence:g} % interval | B is | frames |",
        "|---|---:|---:|---:|---:|---|---:|",
        *(_line(key, difference) for key, difference in found.scores.items()),
        "",
        *(f"Left out: {column(key).title}: {reason}.\n" for key, reason in found.left_out.items()),
    ]
    return "\n".join(lines).rstrip() + "\n" + _LEGEND


def _weights(results: Results) -> str:
    enhancer = results.enhancer_sha256
    return f"weights {results.weights_sha256[:12]}" + (f", enhancer {enhancer[:12]}" if enhancer else "")


def _line(key: str, found: Difference) -> str:
    c = column(key)
    interval = "" if found.low is None else f"{c.text(found.low, signed=True)} to {c.text(found.high, signed=True)}"
    cells = [c.text(found.a), c.text(found.b), c.text(found.difference, signed=True), interval]
    title = markdown_text(f"{c.title} {c.arrow}".strip())
    return f"| {title} | {' | '.join(cells)} | {found.verdict} | {found.frames} |"


def _side(path: str, results: Results, method: str) -> dict[str, Any]:
    """Where one side comes from, without this machine's folders."""
    facts = {"file": Path(path).name, "method": method, "date": results.date, "weights_sha256": results.weights_sha256}
    enhancer = {"enhancer_sha256": results.enhancer_sha256} if results.enhancer_sha256 else {}
    return facts | enhancer | {"networks": results.networks}
