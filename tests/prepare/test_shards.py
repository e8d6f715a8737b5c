"""Tar files: the same bytes for the same clips, read like folders, streamed by WebDataset; damage is found."""

import io
import shutil
import tarfile

import numpy as np
import pytest
import torch

from megaportraits.cli import main
from megaportraits.config import AugmentConfig, PrepareShards
from megaportraits.data.clips import find_clips, read_clip, read_info
from megaportraits.data.pairs import FrameStore, PairDataset
from megaportraits.errors import UserError
from megaportraits.files import file_hash
from megaportraits.prepare.shards import prepare_shards


@pytest.fixture
def shards(drawn_clips, tmp_path):
    prepare_shards(PrepareShards((str(drawn_clips),), str(tmp_path / "shards")))
    return tmp_path / "shards"


def test_clips_of_tar_files_are_those_of_the_folder(drawn_clips, shards):
    assert {path.name for path in shards.iterdir()} == {
        "train-000000.tar", "train-000000.json", "held_out-000000.tar", "held_out-000000.json",
    }  # fmt: skip
    packed = {clip.name: clip for clip in find_clips([shards])}
    for clip in find_clips([drawn_clips]):
        a, b = read_clip(clip), read_clip(packed.pop(clip.name))
        assert a.info == b.info
        np.testing.assert_array_equal(a.rgb, b.rgb)
        np.testing.assert_array_equal(a.matte, b.matte)
        np.testing.assert_array_equal(a.truth.rotation, b.truth.rotation)
    assert not packed
    assert {read_info(clip).split for clip in find_clips([shards], "train")} == {"train"}


def test_pairs_from_tar_files_equal_those_from_folders(drawn_clips, shards):
    by_name = [sorted(find_clips([folder], "train"), key=lambda clip: clip.name) for folder in (drawn_clips, shards)]
    one, other = (PairDataset(FrameStore(clips, 32, 0.1), AugmentConfig(), 2, 5, 4) for clips in by_name)
    for i in range(4):
        assert torch.equal(one[i].driver.rgb, other[i].driver.rgb)


def test_same_clips_same_bytes(drawn_clips, shards, tmp_path):
    shutil.copytree(drawn_clips, tmp_path / "copy")
    prepare_shards(PrepareShards((str(tmp_path / "copy"),), str(tmp_path / "again")))
    for path in shards.iterdir():
        assert file_hash(path) == file_hash(tmp_path / "again" / path.name)


def test_size_limit_starts_new_files(drawn_clips, tmp_path):
    shutil.copytree(drawn_clips, tmp_path / "copy")
    for clip in find_clips([tmp_path / "copy"]):
        with (clip / "rgb.mp4").open("ab") as file:
            file.write(bytes(2**20))
    prepare_shards(PrepareShards((str(tmp_path / "copy"),), str(tmp_path / "shards"), megabytes=2))
    assert len(list((tmp_path / "shards").glob("train-*.tar"))) == 2


def test_shards_can_be_packed_anew_and_old_ones_go(drawn_clips, shards, tmp_path):
    prepare_shards(PrepareShards((str(shards),), str(tmp_path / "again")))
    assert file_hash(tmp_path / "again/train-000000.tar") == file_hash(shards / "train-000000.tar")
    shutil.copytree(drawn_clips, tmp_path / "fewer")
    shutil.rmtree(tmp_path / "fewer/other")
    prepare_shards(PrepareShards((str(tmp_path / "fewer"),), str(shards)))
    assert {path.name for path in shards.glob("*.tar")} == {"train-000000.tar"}


def test_webdataset_streams_them(shards):
    webdataset = pytest.importorskip("webdataset", reason="WebDataset is not installed (extra 'dev')")
    samples = list(webdataset.WebDataset(str(shards / "train-000000.tar"), shardshuffle=False))
    assert {sample["__key__"] for sample in samples} == {f"clip{i}" for i in range(4)}
    assert {"rgb.mp4", "matte.mp4", "truth.safetensors", "clip.json"} <= samples[0].keys()


def test_verify_finds_what_is_damaged(shards, capsys):
    assert main(["prepare", "verify", str(shards)]) == 0
    assert "5 clips" in capsys.readouterr().out
    tar = shards / "train-000000.tar"
    with tarfile.open(tar) as opened:
        start = opened.getmember("clip1.rgb.mp4").offset_data
    with tar.open("r+b") as file:
        file.seek(start + 200)
        file.write(b"\xff" * 64)
    assert main(["prepare", "verify", str(shards)]) == 2
    said = capsys.readouterr().out
    assert "the tar file has another hash than its list says" in said
    assert "clip1: rgb.mp4 has another hash than the list says" in said
    assert "clip2" not in said


def test_two_clips_of_one_name_are_refused(drawn_clips, tmp_path):
    shutil.copytree(drawn_clips, tmp_path / "copy")
    with pytest.raises(UserError, match="two clips are called clip0"):
        prepare_shards(PrepareShards((str(drawn_clips), str(tmp_path / "copy")), str(tmp_path / "shards")))


def test_a_list_that_is_missing_is_told(shards):
    (shards / "train-000000.json").unlink()
    with pytest.raises(UserError, match=r"train-000000\.json"):
        find_clips([shards])


def test_tar_files_hold_nothing_of_this_machine(shards):
    with tarfile.open(shards / "train-000000.tar") as tar:
        assert {(m.mtime, m.uid, m.uname, m.mode) for m in tar.getmembers()} == {(0, 0, "", 0o644)}
        assert io.BytesIO(tar.extractfile("clip0.clip.json").read()).getbuffer().nbytes > 100


def test_clips_are_not_packed_into_the_folder_that_they_are_read_from(shards):
    before = {path.name: file_hash(path) for path in shards.iterdir()}
    with pytest.raises(UserError, match="choose another folder for the tar files"):
        prepare_shards(PrepareShards((str(shards),), f"{shards}/../{shards.name}", megabytes=1))
    assert {path.name: file_hash(path) for path in shards.iterdir()} == before


def test_files_of_others_stay(drawn_clips, tmp_path):
    (tmp_path / "shards").mkdir()
    mine = {"backup-202401.tar": "tar", "results-000001.json": '{"mine": 1}', "list-000002.json": "[]"}
    for name, text in mine.items():
        (tmp_path / "shards" / name).write_text(text)
    prepare_shards(PrepareShards((str(drawn_clips),), str(tmp_path / "shards")))
    assert len(list((tmp_path / "shards").iterdir())) == 7


def test_a_clip_of_an_unknown_split_writes_nowhere(drawn_clips, tmp_path):
    shutil.copytree(drawn_clips, tmp_path / "clips")
    facts = next((tmp_path / "clips").rglob("clip.json"))
    facts.write_text(facts.read_text().replace('"split": "train"', '"split": "../outside"', 1))
    with pytest.raises(UserError, match=r"has the split '\.\./outside'; give one of train, val, test, held_out"):
        prepare_shards(PrepareShards((str(tmp_path / "clips"),), str(tmp_path / "out" / "shards")))
    assert not (tmp_path / "out").exists()
