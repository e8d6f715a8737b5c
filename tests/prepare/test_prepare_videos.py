"""Videos become clips; what is left out has a reason; a stopped run goes on; what changed is made anew."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from moving_faces import FPS, moving

from megaportraits.cli import main
from megaportraits.config import FilterConfig, PrepareVideos, RunnerConfig
from megaportraits.data.clips import find_clips, read_clip
from megaportraits.data.pairs import FrameStore
from megaportraits.data.video_writer import write_video
from megaportraits.errors import UserError
from megaportraits.files import file_hash
from megaportraits.prepare.command import prepare_videos
from megaportraits.prepare.records import Record, read_manifest

HERE = RunnerConfig(workers=0)
LIMITS = FilterConfig(least_scale=0.5, least_s=0.3)


def config(out: Path, *videos: Path, **changes) -> PrepareVideos:
    settings = {"size": 128, "licence": "CC0-1.0", "filters": LIMITS, "run": HERE}
    return PrepareVideos(tuple(map(str, videos)), str(out), **settings | changes)


def hashes(folder: Path) -> dict[str, str]:
    """Of everything that counts; a job's stamp is of its file's date."""
    files = [p for p in folder.rglob("*") if p.is_file() and not (p.parent.name == "jobs" and p.suffix == ".json")]
    return {str(p.relative_to(folder)): file_hash(p) for p in files}


@pytest.fixture(scope="module")
def prepared(videos, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("prepared") / "out"
    prepare_videos(config(out, videos))
    return out


@pytest.fixture(scope="module")
def records(prepared) -> dict[str, Record]:
    return {record.name: record for record in read_manifest(prepared)}


def test_a_moving_face_becomes_a_clip(prepared, records):
    record = records["moving-000000-0"]
    assert (record.reason, record.frames, record.source) == ("", 12, "moving.mp4")
    clip = read_clip(prepared / record.name)
    assert clip.rgb.shape == (12, 128, 128, 3)
    assert (clip.info.source, clip.info.identity, clip.info.licence) == ("recorded", "moving.mp4", "CC0-1.0")
    assert clip.info.frame_step_s == pytest.approx(0.08)
    assert clip.matte[:, 60:70, 60:70].min() > 200
    truth = clip.truth
    assert truth.landmarks.shape == (12, 478, 2)
    assert truth.quality is not None
    assert (truth.quality > 0.1).all()
    assert truth.crop is not None
    in_file = truth.crop[:, 0] + (truth.translation[:, 0] + 1) * truth.crop[:, 2] / 2
    np.testing.assert_allclose(np.diff(in_file), 4, atol=1.5)  # 2 px a frame, every second frame
    frame = FrameStore([prepared / record.name], 64, 0.1).frame(0, 3)
    assert torch.isfinite(frame.keypoints).all()
    assert frame.keypoints.abs().max() < 1


def test_what_is_left_out_has_a_reason(records):
    reasons = {record.source: record.reason for record in records.values() if record.reason}
    assert reasons["still.mp4"] == "nothing moves"
    assert reasons["wall.mp4"] == "no face was found"
    assert "is not a video" in reasons["broken.mov"]


def test_shots_become_clips_of_their_own(records):
    shots = [record for record in records.values() if record.source == "cut.mp4"]
    assert [record.frames for record in shots] == [12, 12]
    assert shots[0].end_s < 24 / 25 <= 30 / 25 <= shots[1].start_s


def test_a_second_run_does_nothing_anew_and_says_the_same(videos, prepared, capsys):
    before = hashes(prepared)
    capsys.readouterr()
    prepare_videos(config(prepared, videos))
    assert "moving" not in capsys.readouterr().out
    assert hashes(prepared) == before


def test_limits_on_all_clips_together_change_without_work(videos, prepared, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(prepared, out)
    prepare_videos(config(out, videos, filters=FilterConfig(least_scale=0.5, least_s=0.3, keep_part=0.3)))
    kept = [record for record in read_manifest(out) if not record.reason]
    assert len(kept) == 1
    assert [clip.name for clip in find_clips([out])] == [kept[0].name]
    assert sum("not among the best 30%" in record.reason for record in read_manifest(out)) == 2
    prepare_videos(config(out, videos))
    assert hashes(out) == hashes(prepared)


def test_other_settings_need_another_folder(videos, prepared):
    with pytest.raises(UserError, match="prepared with another size; give the same, or another folder"):
        prepare_videos(config(prepared, videos, size=64))


def test_a_changed_file_is_made_anew(videos, tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    shutil.copy(videos / "cut.mp4", folder / "a.mp4")
    prepare_videos(config(tmp_path / "out", folder))
    assert len(find_clips([tmp_path / "out"])) == 2
    write_video(folder / "a.mp4", moving(24), FPS)
    prepare_videos(config(tmp_path / "out", folder))
    assert [clip.name for clip in find_clips([tmp_path / "out"])] == ["a-000000-0"]


def test_long_runs_are_divided(videos, tmp_path):
    limits = FilterConfig(least_scale=0.5, least_s=0.3, least_frames=5)
    prepare_videos(config(tmp_path / "out", videos / "moving.mp4", most_frames=8, filters=limits))
    assert [record.frames for record in read_manifest(tmp_path / "out")] == [6, 6]


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (FilterConfig(least_scale=3.0), "the head is smaller than 384 px"),
        (FilterConfig(least_scale=0.5, least_s=2.0), "shorter than 2 s"),
        (FilterConfig(least_scale=0.5, least_frames=20), "fewer than 20 frames show the face"),
        (FilterConfig(least_scale=0.5, least_s=0.3, most_yaw_deg=0.0), "the head is turned more than 0 degrees"),
        (FilterConfig(least_scale=0.5, least_s=0.3, least_quality=0.9), "the quality is below 0.9"),
    ],
)
def test_each_limit_gives_its_reason(videos, tmp_path, limits, reason):
    with pytest.raises(UserError, match=r"none of the 1 files could be used; .*report\.html says why"):
        prepare_videos(config(tmp_path / "out", videos / "moving.mp4", filters=limits))
    assert [record.reason for record in read_manifest(tmp_path / "out")] == [reason]


def test_a_copy_in_other_compression_is_a_duplicate_and_another_person_is_not(videos, tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    write_video(folder / "a.mp4", moving(24), FPS)
    write_video(folder / "b.mp4", moving(24), FPS, crf=30)
    write_video(folder / "c.mp4", moving(24, mirrored=True), FPS)
    prepare_videos(config(tmp_path / "out", folder))
    reasons = {record.source: record.reason for record in read_manifest(tmp_path / "out")}
    assert reasons == {"a.mp4": "", "b.mp4": "the same as a-000000-0", "c.mp4": ""}


def test_split_by_identity_keeps_people_together(tmp_path, videos):
    rows = [
        {"file": str(videos / "cut.mp4"), "identity": f"p{i}", "name": f"v{i}-{j}"} for i in range(4) for j in (0, 1)
    ]
    (tmp_path / "list.json").write_text(json.dumps(rows))
    settings = {"split": "by-identity", "val_part": 0.3, "test_part": 0.3}
    unlimited = FilterConfig(least_scale=0.5, least_s=0.3, duplicate_bits=-1)
    prepare_videos(config(tmp_path / "out", tmp_path / "list.json", filters=unlimited, **settings))
    found = read_manifest(tmp_path / "out")
    assert len(found) == 16
    splits = {person: {r.split for r in found if r.identity == person} for person in {r.identity for r in found}}
    assert all(len(parts) == 1 for parts in splits.values())
    assert len(set.union(*splits.values())) > 1
    assert {clip.name for clip in find_clips([tmp_path / "out"], "val")} == {r.name for r in found if r.split == "val"}


def test_times_and_boxes_of_a_list_are_used(videos, tmp_path):
    both = [np.concatenate([a, b], 1) for a, b in zip(moving(30), moving(30, 1, mirrored=True), strict=True)]
    write_video(tmp_path / "two.mp4", both, FPS)
    (tmp_path / "list.csv").write_text(
        "file,identity,start_s,end_s,left,top,right,bottom\ntwo.mp4,her,0.2,1.0,0.5,0,1,1\n"
    )
    prepare_videos(config(tmp_path / "out", tmp_path / "list.csv"))
    (record,) = read_manifest(tmp_path / "out")
    assert not record.reason
    assert 0.2 <= record.start_s < record.end_s <= 1.0
    assert record.identity == "her"
    crop = read_clip(tmp_path / "out" / record.name).truth.crop
    assert crop is not None
    assert (crop[:, 0] + crop[:, 2] / 2 > both[0].shape[1] / 2).all()


def test_other_folders_are_left_alone(videos, tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/config").touch()
    with pytest.raises(UserError, match="holds other things; give a new or empty folder"):
        prepare_videos(config(tmp_path, videos / "moving.mp4"))
    assert (tmp_path / ".git/config").is_file()


def test_files_of_one_name_in_several_folders_stay_apart(tmp_path):
    for person, mirrored in (("ann", False), ("bob", True)):
        (tmp_path / person).mkdir()
        write_video(tmp_path / person / "clip.mp4", moving(24, mirrored=mirrored), FPS)
    prepare_videos(config(tmp_path / "out", tmp_path / "*/clip.mp4"))
    found = read_manifest(tmp_path / "out")
    assert {(r.source, r.identity) for r in found} == {(f"{p}/clip.mp4",) * 2 for p in ("ann", "bob")}
    assert all(not r.reason for r in found)
    assert len(find_clips([tmp_path / "out"])) == 2


def test_files_that_are_not_given_any_more_are_not_trained_on(videos, tmp_path):
    prepare_videos(config(tmp_path / "out", videos / "moving.mp4", videos / "cut.mp4"))
    assert len(find_clips([tmp_path / "out"])) == 3
    prepare_videos(config(tmp_path / "out", videos / "moving.mp4"))
    assert [clip.name for clip in find_clips([tmp_path / "out"])] == ["moving-000000-0"]


def test_results_inside_the_inputs_are_no_inputs(videos, tmp_path):
    shutil.copytree(videos, tmp_path / "data")
    for _ in range(2):
        prepare_videos(config(tmp_path / "data/real", tmp_path / "data"))
    assert {record.source for record in read_manifest(tmp_path / "data/real")} == {
        "moving.mp4", "still.mp4", "wall.mp4", "cut.mp4", "broken.mov",
    }  # fmt: skip


def test_a_deleted_clip_is_made_again_and_leftovers_of_a_failed_file_go(videos, prepared, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(prepared, out)
    clips = find_clips([out])
    shutil.copytree(clips[0], out / "broken-000000-0")
    shutil.rmtree(clips[0])
    prepare_videos(config(out, videos))
    assert hashes(out) == hashes(prepared)


def test_passing_faults_are_tried_again(videos, tmp_path, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("the network drive is away")

    with monkeypatch.context() as broken:
        broken.setattr("megaportraits.prepare.videos.prepare_video", fail)
        with pytest.raises(UserError, match="none of the 1 files"):
            prepare_videos(config(tmp_path / "out", videos / "moving.mp4"))
    assert "the network drive is away" in read_manifest(tmp_path / "out")[0].reason
    prepare_videos(config(tmp_path / "out", videos / "moving.mp4"))
    assert not read_manifest(tmp_path / "out")[0].reason


def test_a_quality_net_that_is_missing_is_told_before_the_work(videos, tmp_path):
    with pytest.raises(UserError, match="hyperIQA"):
        prepare_videos(config(tmp_path / "out", videos, quality_net=str(tmp_path / "hyperIQA.pkl")))
    assert not (tmp_path / "out/jobs").exists()


def test_killed_and_run_again_is_as_if_undisturbed(videos, prepared, tmp_path):
    out = tmp_path / "out"
    words = [
        "prepare", "videos", str(videos), "--out", str(out), "--size", "128", "--licence", "CC0-1.0",
        "--filters.least-scale", "0.5", "--filters.least-s", "0.3",
    ]  # fmt: skip
    running = subprocess.Popen(
        [sys.executable, "-m", "megaportraits", *words], start_new_session=True, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not any(out.glob("jobs/*.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    done = len(list(out.glob("jobs/*.json")))
    assert 0 < done < 5
    assert not (out / "manifest.jsonl").exists()
    assert main([*words, "--run.workers", "0"]) == 0
    assert hashes(out) == hashes(prepared)
    assert not [path for path in out.glob(".*")]
