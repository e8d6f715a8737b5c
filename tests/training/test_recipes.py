"""The recipes that come with the package: each one trains, and each ablation takes away what it says."""

import json
from pathlib import Path

import pytest

from megaportraits.checkpoint import read_json
from megaportraits.cli import main
from megaportraits.config import DOMAIN_ON, BaseTraining
from megaportraits.options import parse, recipes

NO_NETWORKS = [f"--weights.{term}=0" for term in ("perceptual", "face", "gaze", "identity", "adversarial")]
SMALL = ["--preset=tiny", "--batch=2", "--loop.steps=2", "--loop.log-every=1", "--loop.precision=32-true",
         "--loop.device=cpu", "--weights.reconstruction=20", "--cycle-start=0", "--cache-gb=0.1"]  # fmt: skip


def train(names: list[str], clips: Path, pose_net: Path, output: Path) -> tuple[dict, list[dict]]:
    """(settings, logged scalars) of two steps of a recipe at the tiny preset."""
    chosen = [word for name in names for word in ("--config", name)]
    paths = ["--data", str(clips), "--pose", str(pose_net), "--output", str(output)]
    assert main(["train", "base", *chosen, *SMALL, *NO_NETWORKS, *paths]) == 0
    lines = (output / "log/scalars.jsonl").read_text().splitlines()
    return read_json(output / "step-2/config.json"), [json.loads(line) for line in lines]


STAGE_TWO = "enhance-"
"""Recipes of stage two begin with this."""


@pytest.mark.parametrize("name", sorted(n for n in recipes() if not n.startswith(STAGE_TWO)))
def test_two_steps_of_every_recipe(name, drawn_clips, pose_net, tmp_path):
    settings, lines = train(["small", name], drawn_clips, pose_net, tmp_path)
    assert len(lines) == 2
    assert all(line["skipped_steps"] == 0 for line in lines)
    training, model = settings["training"], settings["model"]
    augment = training["augment"]
    off = {
        "ablation-no-descriptor": not model["descriptor"],
        "ablation-no-source-warp": not model["source_warp"],
        "ablation-no-driver-augmentation": augment["shape_sigma"] == augment["severe_jitter"] == augment["grey"] == 0,
        "ablation-no-cycle": "cycle" not in lines[0],
        "ablation-background": training["foreground"] == "all",
        "true-cross": augment["acted_by_another"] == 0.5,
    }
    assert {ablation for ablation, gone in off.items() if gone} == ({name} & off.keys())


@pytest.mark.parametrize("name", sorted(n for n in recipes() if n.startswith(STAGE_TWO)))
def test_two_steps_of_every_recipe_of_stage_two(name, drawn_clips, tiny_weights, tmp_path):
    words = ["--config", name, "--preset=enhancer-tiny", "--size-px=32", *SMALL[1:5], "--cache-gb=0.1"]
    paths = ["--data", str(drawn_clips), "--base", str(tiny_weights), "--output", str(tmp_path)]
    assert main(["train", "enhance", *words, *paths]) == 0
    line = json.loads((tmp_path / "log/scalars.jsonl").read_text().splitlines()[-1])
    assert line["skipped_steps"] == 0
    halves = {"mae", "adversarial", "feature_matching"}, {"cross_adversarial", "cycle"}
    gone = {"enhance-supervised": halves[1], "enhance-unsupervised": halves[0], "enhance-no-cycle": {"cycle"}}
    assert (halves[0] | halves[1]) - line.keys() == gone.get(name, set())


def test_the_papers_recipes_have_the_papers_numbers():
    """Checked without building 180 million parameters."""

    def command(config: BaseTraining) -> None: ...

    for name, batch, steps in (("paper-512", 16, 300_000), ("paper-256", 24, 200_000)):
        config = parse(command, "train base", ["--output", "run", "--config", name])["config"]
        weights = config.weights
        assert (config.preset, config.batch, config.loop.steps) == (name, batch, steps)
        assert (weights.perceptual, weights.face, weights.gaze) == (20, 4, 5)
        assert (weights.adversarial, weights.feature_matching, weights.cycle) == (1, 40, 2)
        assert (weights.identity, weights.reconstruction) == (0, 0)
        assert (config.critics.perceptual, config.critics.face) == ("vgg19", "vggface")


def test_an_unknown_recipe_is_named_with_the_known_ones(capsys):
    assert main(["train", "base", "--config", "smal", "--output", "run"]) == 2
    assert (
        "'smal' is no file and no recipe for this command; recipes for it: ablation-background"
        in capsys.readouterr().err
    )


def test_the_recipe_of_domain_randomisation_is_the_one_that_tests_use():
    def command(config: BaseTraining) -> None: ...

    assert parse(command, "train base", ["--output", "run", "--config", "domain"])["config"].augment.domain == DOMAIN_ON
