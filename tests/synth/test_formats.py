"""Readers of MakeHuman's files, on the mini head and on hand-written lines."""

import gzip
import shutil

import numpy as np
import pytest

from megaportraits.errors import UserError
from megaportraits.synth.assets import AssetLibrary
from megaportraits.synth.formats import read_mhclo, read_obj, read_pose_units, read_target
from megaportraits.synth.rotations import rotation_from_vector, rotation_vector, world_rotation


def test_binding_scales_offsets_and_reads_ranges(tmp_path):
    (tmp_path / "hat.mhclo").write_text(
        "# hat\nobj_file hat.obj\nx_scale 0 1 2.0\nverts 0\n2\n0 1 2 0.5 0.25 0.25 1 0 -1\ndelete_verts\n4 7 - 9 12\n"
    )
    binding = read_mhclo(tmp_path / "hat.mhclo")
    base = np.array([[0.0, 0, 0], [4, 0, 0], [0, 8, 0]])
    np.testing.assert_allclose(binding.place(base), [[0, 8, 0], [1 + 1 * 4 / 2, 2, -1]])
    assert binding.hidden.tolist() == [4, 7, 8, 9, 12]


def test_target_accepts_bare_decimals_and_comments(tmp_path):
    (tmp_path / "a.target").write_text("# comment\n3 .5 -.25 0\n\n7 1 2 3\n")
    vertices, offsets = read_target(tmp_path / "a.target")
    assert vertices.tolist() == [3, 7]
    np.testing.assert_allclose(offsets, [[0.5, -0.25, 0], [1, 2, 3]])


def test_triangles_repeat_their_last_corner(tmp_path):
    (tmp_path / "a.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nv 1 1 0\ng body\nf 1 2 3\nf 1//1 2//1 4//1 3//1\n")
    mesh = read_obj(tmp_path / "a.obj")
    assert mesh.faces.tolist() == [[0, 1, 2, 2], [0, 1, 3, 2]]
    assert mesh.groups[mesh.face_group[0]] == "body"


def test_pose_units_turn_into_makehuman_axes(tmp_path):
    lines = ["ROOT a", "CHANNELS 3 Xrotation Yrotation Zrotation", "MOTION", "Frames: 2", "0 0 0", "0 0 90"]
    (tmp_path / "u.bvh").write_text("\n".join(lines))
    (tmp_path / "u.json").write_text('{"framemapping": ["Rest", "Turn"]}')
    units = read_pose_units(tmp_path / "u.bvh", tmp_path / "u.json")
    assert units["Rest"] == {}
    np.testing.assert_allclose(units["Turn"]["a"] @ [0, 0, 1], [1, 0, 0], atol=1e-12)


def test_gzipped_and_plain_folders_are_the_same(mini_folder, mini_library, tmp_path):
    shutil.copytree(mini_folder, tmp_path / "zipped")
    for path in (tmp_path / "zipped").rglob("*"):
        if path.suffix in (".obj", ".mhclo", ".target", ".mhskel", ".mhw", ".bvh"):
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    zipped = AssetLibrary(tmp_path / "zipped")
    assert zipped.targets.keys() == mini_library.targets.keys()
    assert zipped.proxies.keys() == mini_library.proxies.keys()
    np.testing.assert_array_equal(zipped.base.vertices, mini_library.base.vertices)
    np.testing.assert_array_equal(zipped.bone_weights, mini_library.bone_weights)


def test_a_folder_without_assets_is_told_in_one_sentence(tmp_path):
    with pytest.raises(UserError, match="MakeHuman data folder"):
        AssetLibrary(tmp_path)


def test_rotation_vector_inverts_rotation_from_vector():
    rotation = world_rotation(30.0, -20.0, 10.0)
    np.testing.assert_allclose(rotation_from_vector(rotation_vector(rotation)), rotation, atol=1e-12)
