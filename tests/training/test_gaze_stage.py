"""The gaze stage: it learns, resumes, exports; teachers replace the truth and are checked row by row."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from runs import FAST, LOOP, Repeated

from megaportraits.config import EyeAugmentConfig, GazeTraining, from_dict, to_dict
from megaportraits.data.clips import find_clips
from megaportraits.data.teachers import taught_states, true_states
from megaportraits.errors import UserError
from megaportraits.models.gaze import GazeNet
from megaportraits.training.gaze import GazeStage
from megaportraits.training.loop import Trainer

COLUMNS = ["clip", "frame", "yaw_deg", "pitch_deg", "blink_left", "blink_right"]
STILL = EyeAugmentConfig(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0)


@pytest.fixture
def teacher(drawn_clips: Path, tmp_path: Path) -> Path:
    """Predictions for every frame of three of the four training clips."""
    generator = torch.Generator().manual_seed(3)
    path = tmp_path / "teacher.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for clip in range(3):
            for frame in range(6):
                yaw, pitch, left, right = torch.rand(4, generator=generator).tolist()
                writer.writerow([f"clip{clip}", frame, 40 * yaw - 20, 20 * pitch - 10, left, right])
    return path


@pytest.fixture
def config(drawn_clips: Path, teacher: Path, tmp_path: Path) -> GazeTraining:
    return GazeTraining(
        str(tmp_path / "gaze"), (str(drawn_clips),), "tiny", str(teacher), batch=8, size_px=64, augment=STILL,
        optimiser=replace(FAST, weight_decay=0.0), loop=LOOP, cache_gb=0.1,
    )  # fmt: skip


def trainer(stage: GazeStage) -> Trainer:
    config = stage.config
    return Trainer(stage, config.loop, config.optimiser, Path(config.output), to_dict(config))


def test_the_stage_overfits_one_batch(config):
    stage = GazeStage(replace(config, loop=replace(config.loop, steps=150)))
    samples = stage.dataset
    stage.dataset = lambda length: Repeated(samples(length), stage.batch, length)  # type: ignore[method-assign]
    trainer(stage).run()
    lines = [json.loads(t) for t in (Path(config.output) / "log/scalars.jsonl").read_text().splitlines()]
    for term in ("gaze_mae", "blink_mae"):
        assert lines[-1][term] < 0.5 * lines[0][term], term


def test_gaze_does_not_count_where_both_eyes_are_closed(config):
    stage = GazeStage(config)
    batch = stage.collate([stage.dataset(8)[i] for i in range(8)])
    batch.truth.blink[:] = 1.0
    closed = stage.generator_terms(batch, 0)
    batch.truth.blink[:, 1] = 0.0
    wink = stage.generator_terms(batch, 0)
    assert closed["gaze_mae"][0] == closed["gaze_mse"][0] == closed["error_deg"][0] == 0
    assert wink["gaze_mae"][0] > 0
    assert wink["error_deg"][0] > 0


def test_weights_of_b5(config):
    stage = GazeStage(config)
    terms = stage.generator_terms(stage.collate([stage.dataset(8)[i] for i in range(8)]), 0)
    assert {name: weight for name, (_, weight) in terms.items()} == {
        "gaze_mae": 15, "gaze_mse": 10, "blink_mae": 15, "blink_mse": 10, "error_deg": 0,
    }  # fmt: skip
    assert terms["gaze_mae"][0] < 1, "angles are compared in radians"


def test_a_run_exports_resumes_and_starts_another(config):
    done = trainer(GazeStage(replace(config, loop=replace(config.loop, steps=2)))).run()
    assert GazeNet.load(done).config.eye_px == 32
    stage = GazeStage(replace(config, start_from=str(done)))
    begun = torch.cat([p.flatten() for p in stage.generator.parameters()])
    fresh = torch.cat([p.flatten() for p in GazeStage(config).generator.parameters()])
    assert not begun.equal(fresh)
    shutil.rmtree(done / "state")
    used = GazeStage(replace(config, start_from=str(done))).generator
    assert all(map(torch.equal, used.parameters(), GazeNet.load(done).parameters())), "weights for use start a run too"
    grid = stage.pictures(stage.generator, stage.collate([stage.dataset(8)[i] for i in range(8)]))
    assert tuple(grid.shape) == (8 * 32, 2 * 32, 3)


def test_defaults_are_the_papers_and_survive_json():
    config = GazeTraining("run")
    assert from_dict(GazeTraining, to_dict(config)) == config
    optimiser = config.optimiser
    assert (optimiser.learning_rate, optimiser.betas, optimiser.weight_decay) == (0.8e-3, (0.9, 0.999), 0.0)
    assert config.loop.steps == 60 * 60_000 / config.batch
    assert optimiser.warmup_steps == 0.1 * config.loop.steps
    with pytest.raises(UserError, match="batch is 0; give at least 1"):
        GazeTraining("run", batch=0)


def test_truth_and_teacher_give_states_by_clip_and_frame(drawn_clips, teacher, tmp_path):
    clips = find_clips([drawn_clips], "train")
    assert all(state.gaze_deg.eq(0).all() for state in true_states(clips))
    states = taught_states(teacher, clips)
    row = teacher.read_text().splitlines()[1 + 6 + 2].split(",")
    assert row[:2] == ["clip1", "2"]
    found = [*states[1].gaze_deg[2].tolist(), *states[1].blink[2].tolist()]
    assert found == pytest.approx([float(v) for v in row[2:]], rel=1e-5)
    assert states[3].gaze_deg.isnan().all()
    rows = [dict(zip(COLUMNS, line.split(","), strict=True)) for line in teacher.read_text().splitlines()[1:]]
    rows = [row | {"clip": f"{drawn_clips.name}/{row['clip']}"} for row in rows]
    (tmp_path / "teacher.json").write_text(json.dumps(rows))
    assert taught_states(tmp_path / "teacher.json", clips)[1].gaze_deg.equal(states[1].gaze_deg)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("clip0,0,1,2,0.5", "line 2: no blink_right; each row gives clip, frame"),
        ("clip0,0,left,2,0,0", "line 2: could not convert string to float: 'left'"),
        ("clip0,0,200,2,0,0", "line 2: yaw_deg is 200; give -90 to 90"),
        ("clip0,0,nan,2,0,0", "line 2: yaw_deg is nan"),
        ("clip0,0,1,2,0,1.5", "line 2: blink_right is 1.5; give 0 to 1"),
        ("clip0,-1,1,2,0,0", "line 2: frame is -1"),
        ("clip0,6,1,2,0,0", "line 2: 'clip0' has no frame 6; it has 6"),
        ("clip9,0,1,2,0,0", "no row about the clips in use, such as 'clip0'"),
    ],
)
def test_bad_rows_are_named(drawn_clips, tmp_path, row, sentence):
    path = tmp_path / "teacher.csv"
    path.write_text(",".join(COLUMNS) + "\n" + row + "\n")
    with pytest.raises(UserError, match=sentence):
        taught_states(path, find_clips([drawn_clips], "train"))


def test_bad_files_and_doubtful_names_are_refused(drawn_clips, tmp_path):
    clips = find_clips([drawn_clips], "train")
    with pytest.raises(UserError, match="is not readable"):
        taught_states(tmp_path / "none.csv", clips)
    (tmp_path / "text.json").write_text('{"clip": 1}')
    with pytest.raises(UserError, match="is not a list of objects"):
        taught_states(tmp_path / "text.json", clips)
    path = tmp_path / "teacher.csv"
    path.write_text(",".join(COLUMNS) + "\nclip0,0,1,2,0,0\n")
    with pytest.raises(UserError, match="2 clips are called 'clip0'; write dataset/clip"):
        taught_states(path, [*clips, clips[0]])
