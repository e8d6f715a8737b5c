"""Tiny training runs on drawn clips."""

from dataclasses import replace
from pathlib import Path

import pytest
from runs import FAST, LOOP, PLAIN, make_trainer

from megaportraits.config import AugmentConfig, BaseTraining, LossWeights, PoseTraining


@pytest.fixture
def pose_config(drawn_clips: Path, tmp_path: Path) -> PoseTraining:
    return PoseTraining(
        str(tmp_path / "pose"), (str(drawn_clips),), "tiny", batch=4, optimiser=FAST, loop=LOOP, cache_gb=0.1
    )


@pytest.fixture(scope="session")
def pose_net(drawn_clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint folder of a pose net that was trained for one step."""
    output = tmp_path_factory.mktemp("pose-net")
    config = PoseTraining(str(output), (str(drawn_clips),), "tiny", batch=2, loop=replace(LOOP, steps=1))
    return make_trainer(config).run()


@pytest.fixture
def base_config(drawn_clips: Path, pose_net: Path, tmp_path: Path) -> BaseTraining:
    return BaseTraining(
        str(tmp_path / "base"), (str(drawn_clips),), preset="tiny", pose=str(pose_net), batch=3, drivers_per_source=2,
        weights=PLAIN, optimiser=FAST, loop=LOOP, cycle_start=0.2, cache_gb=0.1,
    )  # fmt: skip


@pytest.fixture
def plain_weights() -> LossWeights:
    """Reconstruction alone, without a discriminator."""
    return replace(PLAIN, adversarial=0.0, cycle=0.0)


@pytest.fixture
def no_augmentation() -> AugmentConfig:
    return AugmentConfig(0.0, 0.0, 0.0, 8, 0.0, 0.0)
