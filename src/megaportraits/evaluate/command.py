"""`megaportraits evaluate`: score a model, baselines and other systems, and report."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from megaportraits import __version__
from megaportraits.animate import Animator, leave_a_core
from megaportraits.config import EvaluateConfig, Protocol, to_dict
from megaportraits.errors import UserError
from megaportraits.evaluate import pictures
from megaportraits.evaluate.columns import METRICS
from megaportraits.evaluate.done import Done, Features
from megaportraits.evaluate.judges import open_judges
from megaportraits.evaluate.methods import BICUBIC, Method, all_methods
from megaportraits.evaluate.networks import NETWORKS, OnDevice, networks_missing, networks_used
from megaportraits.evaluate.openings import opening_agreements
from megaportraits.evaluate.outside import CommandMethod, FolderMethod, write_inputs
from megaportraits.evaluate.page import write_page
from megaportraits.evaluate.protocols import Sample, compared_px, load_samples, possible_protocols
from megaportraits.evaluate.results import SCHEMA_VERSION, Results, Row, write_results
from megaportraits.evaluate.scores import score, score_wanted
from megaportraits.evaluate.sets import SetJudge
from megaportraits.evaluate.steadiness import answer
from megaportraits.evaluate.tables import csv_rows, latex, markdown, tables
from megaportraits.files import file_hash, replacing
from megaportraits.losses.pretrained import load_frozen
from megaportraits.models.enhancer import Enhancer
from megaportraits.models.network import SHIPPED, shipped_weights

_PATHS = ("data", "output", "weights", "enhancer", "inputs", "pose_net", *NETWORKS)
_SCORING = ("count", "frames", "step", "seed", "split")
"""Settings that change scores; files count by their content."""


def evaluate(config: EvaluateConfig) -> None:
    """Score methods by one protocol, or by all; what is done is kept, the same command goes on after a stop.

    Writes scores.json, scores.csv, scores.md, scores.tex, report.html, contact_sheet.png and pictures/.

    Raises:
        UserError: no weights, no data of the kind that the protocol needs, an unreadable network, or the output cannot
            be written.
    """
    leave_a_core()
    if config.gaze_net == SHIPPED:
        config = replace(config, gaze_net=str(shipped_weights("gaze")))
    output, weights = Path(config.output), Path(config.weights or shipped_weights())
    if config.inputs:
        _write_inputs(config, Animator.load(weights, config.device).size_px)
        return
    with replacing(output / "report.html") as page:  # before the work: the folder may not be writable
        animator = Animator.load(weights, config.device)
        chosen: list[Protocol] = possible_protocols(config) if config.protocol == "all" else [config.protocol]
        # hashed now: a training run may remove its old checkpoints meanwhile
        digest = file_hash(weights / "model.safetensors")
        networks = [networks_used(config, weights, protocol) for protocol in chosen]
        found = [
            _protocol(
                config, protocol, output / protocol if config.protocol == "all" else output, animator, digest, used
            )
            for protocol, used in zip(chosen, networks, strict=True)
        ]
        write_page(page, found)


def portable_settings(config: EvaluateConfig) -> dict[str, Any]:
    """The settings without this machine's folders: of every path the last part, of other systems the name."""
    short = {k: Path(v).name if k in _PATHS and v else v for k, v in to_dict(config).items()}
    return short | {k: [text.partition("=")[0] for text in getattr(config, k)] for k in ("outputs", "command")}


def _write_inputs(config: EvaluateConfig, size_px: int) -> None:
    assert config.protocol != "all"
    write_inputs(load_samples(config, config.protocol, compared_px(config.protocol, size_px)).samples, config.inputs)


def _protocol(
    config: EvaluateConfig, protocol: Protocol, output: Path, animator: Animator, digest: str,
    networks: dict[str, dict[str, str]],
) -> Results:  # fmt: skip
    """Score by one protocol and write everything but the page."""
    enhancer, stage_two = _enhancer(config)
    size_px = compared_px(protocol, animator.size_px)
    loaded = load_samples(config, protocol, size_px)
    methods = all_methods(animator, loaded.samples, config, enhancer)
    settings = {name: getattr(config, name) for name in _SCORING} | stage_two
    kinds = f"{list(methods)} {list(METRICS)}"
    made_of = f"{__version__} {SCHEMA_VERSION} {protocol} {digest} {networks} {settings} {kinds}"
    rows, sets = _score(config, loaded.samples, methods, animator, Done(output, made_of, loaded.samples))
    missing = networks_missing(config, protocol, size_px)
    results = Results(
        protocol=protocol,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        weights_sha256=digest,
        size_px=size_px,
        settings=portable_settings(config) | stage_two,
        samples=[sample.name for sample in loaded.samples],
        columns=pictures.titles(loaded.samples[0], methods),
        networks=networks,
        unavailable={METRICS[metric].title: why for metric, why in missing.items()},
        sets=sets,
        rows=rows,
        left_out=loaded.left_out,
    )
    _write(output, results, loaded.samples, _cells(config))
    return results


def _enhancer(config: EvaluateConfig) -> tuple[Enhancer | None, dict[str, str]]:
    """The enhancer that is evaluated, and what the results say of it."""
    if config.protocol != "enhance":
        return None, {}
    folder = Path(config.enhancer or shipped_weights("enhancer"))
    return Enhancer.load(folder), {"enhancer_sha256": file_hash(folder / "model.safetensors")}


def _cells(config: EvaluateConfig) -> pictures.Cells:
    return pictures.FINE if config.protocol == "enhance" else pictures.COARSE


def _score(
    config: EvaluateConfig, samples: list[Sample], methods: dict[str, Method], animator: Animator, done: Done
) -> tuple[list[Row], dict[str, dict[str, float | None]]]:
    """The rows of all samples and the scores of whole sets; samples that are done are read."""
    rows: list[Row] = []
    features: list[Features] = []
    network = load_frozen("inception", config.inception) if config.inception else None
    sets = SetJudge(network and OnDevice(network, animator.device))
    systems = [method for method in methods.values() if isinstance(method, FolderMethod | CommandMethod)]
    with open_judges(config, animator.model.motion_encoder.pose, methods.get(BICUBIC, answer)) as judges:
        for sample in tqdm(samples, "evaluating", unit="sample", disable=None):
            others = b"".join(system.made_of(sample) for system in systems)
            kept = done.read(sample, others)
            if kept is None:
                results = {name: _pictures(name, method, sample) for name, method in methods.items()}
                scored = [row for name, result in results.items() for row in score(sample, name, result, judges)]
                kept = scored + score_wanted(sample, judges), sets.features(sample, results)
                pictures.write_strips(done.output, sample, results, _cells(config).strip_px)
                done.write(sample, others, *kept)
            rows += kept[0]
            features.append(kept[1])
    agreements, distances = opening_agreements(rows), sets.distances(features)
    return rows, {name: agreements[name] | distances.get(name, {}) for name in agreements}


def _pictures(name: str, method: Method, sample: Sample) -> Float[Tensor, "T 3 S S"]:
    made = method(sample)
    if not made.isfinite().all():
        raise UserError(f"{name} made pictures of {sample.name} with values that are no numbers; look at its weights")
    return made


def _write(output: Path, results: Results, samples: list[Sample], cells: pictures.Cells) -> None:
    write_results(output / "scores.json", results)
    found = tables(results)
    text = "\n".join(markdown(table) for table in found)
    for name, content in (
        ("scores.md", text),
        ("scores.tex", "\n".join(latex(table) for table in found)),
        ("scores.csv", csv_rows(results.rows)),
    ):
        with replacing(output / name) as temporary:
            temporary.write_text(content)
    pictures.write_sheet(output, samples, results.columns, cells.sheet_px)
    print(text)
