"""Signed avatars: made, listed, verified, removed; altered, unsigned and foreign ones are refused."""

import base64
import json
import os
from pathlib import Path

import pytest
import torch
from consent import CONSENT
from safetensors import safe_open
from safetensors.torch import save_file

from megaportraits import bundle
from megaportraits.bundle import read_bundle
from megaportraits.cli import main
from megaportraits.errors import UserError
from megaportraits.models.appearance_encoder import AppearanceEncoder
from megaportraits.models.student import Identities, Student


def rewritten(path: Path, target: Path, change) -> Path:
    """A bundle whose metadata or tensors `change` has altered."""
    with safe_open(path, "pt") as file:
        metadata, tensors = dict(file.metadata()), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(metadata, tensors)
    save_file(tensors, target, metadata)
    return target


def test_a_bundle_paints_what_the_student_paints(made):
    opened, student = read_bundle(made / "a.mpa"), Student.load(made / "student")
    drivers, avatar = torch.rand(2, 3, 64, 64), torch.tensor([1, 0])
    torch.testing.assert_close(opened.model(drivers, avatar).rgb, student(drivers, avatar).rgb, atol=1e-2, rtol=0)
    assert [a.name for a in opened.avatars] == ["person0", "person1"]
    assert opened.avatars[1].consent == "person 1 agreed on 2026-11-28"
    assert opened.avatars[0].preview.shape == (128, 128, 3)
    assert len(opened.history) == 1


def test_nothing_inside_can_learn_a_new_person(made):
    """No encoder of appearances, no identity tensors; no driver changes who is shown more than how."""
    model = read_bundle(made / "a.mpa").model
    assert not any(isinstance(m, AppearanceEncoder | Identities) for m in model.modules())
    assert not any(p.requires_grad for p in model.parameters())
    for numbers in (torch.tensor([2]), torch.tensor([-3])):
        with pytest.raises(IndexError):
            model(torch.rand(1, 3, 64, 64), numbers)


def test_the_key_is_its_owners_and_is_never_overwritten(made, capsys):
    assert (made / "key.pem").stat().st_mode & 0o777 == 0o600
    assert b"PRIVATE" not in (made / "key.pub").read_bytes()
    assert main(["avatar", "key", str(made / "key.pem")]) == 2
    assert "a key is never overwritten" in capsys.readouterr().err
    assert main(["avatar", "key", str(made / "mine.pub")]) == 2
    assert "is the name of a public key; leave .pub out" in capsys.readouterr().err


def test_a_private_key_is_never_readable_by_others(tmp_path, monkeypatch):
    seen, move = [], os.replace

    def watched(old: Path, new: Path) -> None:
        move(old, new)
        seen.append((new.name, new.stat().st_mode & 0o777))

    monkeypatch.setattr(os, "replace", watched)
    assert main(["avatar", "key", str(tmp_path / "key.pem")]) == 0
    assert seen == [("key.pem", 0o600), ("key.pub", 0o644)]


def test_verify_and_list(made, tmp_path, capsys):
    assert main(["avatar", "verify", str(made / "a.mpa"), "--trust", str(made / "key.pub")]) == 0
    assert "2 avatars" in capsys.readouterr().out
    assert main(["avatar", "list", str(made / "a.mpa")]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["avatars"][0] == {"name": "person0", **{k: CONSENT["person0"][k] for k in ("licence", "consent")}}
    main(["avatar", "key", str(tmp_path / "other.pem")])
    assert main(["avatar", "verify", str(made / "a.mpa"), "--trust", str(tmp_path / "other.pub")]) == 2
    assert "was signed by the key" in capsys.readouterr().err


def test_a_removed_avatar_is_gone_and_the_history_grows(made, tmp_path):
    words = ["--name", "person0", "--output", str(tmp_path / "b.mpa"), "--key", str(made / "key.pem")]
    assert main(["avatar", "remove", "--bundle", str(made / "a.mpa"), *words]) == 0
    before, after = read_bundle(made / "a.mpa"), read_bundle(tmp_path / "b.mpa")
    assert [a.name for a in after.avatars] == ["person1"]
    assert after.history[:-1] == before.history
    driver = torch.rand(1, 3, 64, 64)
    assert torch.equal(after.model(driver, torch.tensor([0])).rgb, before.model(driver, torch.tensor([1])).rgb)
    with pytest.raises(UserError, match="person1 is the only avatar"):
        after.without("person1")
    with pytest.raises(UserError, match="there is no avatar 'person0'; the file holds person1"):
        after.without("person0")


def forged(metadata, tensors):
    metadata["manifest"] = metadata["manifest"].replace("person 1 agreed", "person 1 never agreed")


def other_weights(metadata, tensors):
    tensors["conv.bias"] += 1


def one_tensor_more(metadata, tensors):
    tensors["tables.0.extra"] = torch.zeros(2)


def other_picture(metadata, tensors):
    tensors["preview.0"] = 255 - tensors["preview.0"]


def other_signature(metadata, tensors):
    metadata["signature"] = base64.b64encode(bytes(64)).decode()


@pytest.mark.parametrize("change", [forged, other_weights, one_tensor_more, other_picture, other_signature])
def test_altered_files_are_refused(made, tmp_path, change):
    path = rewritten(made / "a.mpa", tmp_path / "x.mpa", change)
    with pytest.raises(UserError, match="was altered"):
        read_bundle(path)
    if change in (other_weights, one_tensor_more, other_picture):
        with pytest.raises(UserError, match="was altered"):
            read_bundle(path, allow_unsigned=True)


def test_unsigned_files_are_refused_unless_they_are_wanted(made, tmp_path):
    path = rewritten(made / "a.mpa", tmp_path / "x.mpa", lambda metadata, tensors: metadata.pop("signature"))
    with pytest.raises(UserError, match="is not signed"):
        read_bundle(path)
    assert read_bundle(path, allow_unsigned=True).key == ""
    with pytest.raises(UserError, match="is not signed"):
        read_bundle(path, trusted=made / "key.pub", allow_unsigned=True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"--consent": "{}"}, "says nothing of person0, person1"),
        ({"--consent": json.dumps(CONSENT | {"person1": {"licence": "CC0-1.0"}})}, "person1 has no consent statement"),
        ({"--output": "a.zip"}, "does not end in .mpa"),
        ({"--key": "consent.json"}, "is not a readable key"),
        ({"--avatars": "student"}, "no clips in"),
    ],
)
def test_wrong_input_is_one_sentence(made, tmp_path, capsys, change, said):
    (tmp_path / "c.json").write_text(change.get("--consent", json.dumps(CONSENT)))
    options = {
        "--student": made / "student", "--output": tmp_path / change.get("--output", "a.mpa"),
        "--consent": tmp_path / "c.json", "--key": made / change.get("--key", "key.pem"),
        "--avatars": made / change.get("--avatars", "people"),
    }  # fmt: skip
    assert main(["avatar", "make", *(str(word) for pair in options.items() for word in pair)]) == 2
    assert said in capsys.readouterr().err


def test_other_files_are_no_bundles(tmp_path, made):
    (tmp_path / "x.mpa").write_bytes(b"nothing")
    with pytest.raises(UserError, match="is not a bundle, or it is damaged"):
        read_bundle(tmp_path / "x.mpa")
    with pytest.raises(UserError, match="there is no file"):
        read_bundle(tmp_path / "y.mpa")
    with pytest.raises(UserError, match="is not signed"):
        read_bundle(made / "student/model.safetensors")


def signed(path: Path, target: Path, key: Path, change) -> Path:
    """A bundle with another manifest and other tensors, signed by its maker as if all was right."""
    with safe_open(path, "pt") as file:
        manifest = json.loads(file.metadata()["manifest"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(manifest, tensors)
    manifest["tensors"] = {name: bundle._tensor_hash(tensor) for name, tensor in tensors.items()}
    text = json.dumps(manifest)
    private = bundle._private_key(key)
    metadata = {"manifest": text, "signature": base64.b64encode(private.sign(text.encode())).decode()}
    save_file(tensors, target, metadata | {"key": base64.b64encode(bundle._raw(private.public_key())).decode()})
    return target


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest, tensors: manifest["avatars"][0].pop("consent"),
        lambda manifest, tensors: manifest.update(avatars=None),
        lambda manifest, tensors: manifest.update(avatars=["person0", "person1"]),
        lambda manifest, tensors: manifest.update(avatars=[]),
        lambda manifest, tensors: manifest["avatars"].pop(),
        lambda manifest, tensors: manifest["avatars"].append(manifest["avatars"][0]),
        lambda manifest, tensors: manifest.update(model=[]),
        lambda manifest, tensors: tensors.update({"preview.0": torch.zeros(3, dtype=torch.uint8)}),
        lambda manifest, tensors: tensors.update({"conv.bias": torch.tensor(1.0)}),
        lambda manifest, tensors: tensors.update({"conv.bias": tensors["conv.bias"] * torch.nan}),
    ],
)
def test_a_signature_does_not_make_nonsense_a_bundle(made, tmp_path, change):
    path = signed(made / "a.mpa", tmp_path / "x.mpa", made / "key.pem", change)
    with pytest.raises(UserError) as caught:
        read_bundle(path)
    assert "\n" not in str(caught.value)
