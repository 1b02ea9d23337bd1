"""Seals and manifests: what they hold for any content, and what they say to content that anybody may have written."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minilm.system.digests import SEAL, UNSEALED, seal_file, seal_is_intact, sealed, sha256_of
from minilm.system.errors import CheckpointError
from minilm.system.json_files import DEEPEST, parse_json, read_json
from minilm.system.manifest import MANIFEST, Entry, Manifest, check_unchanged, read_manifest

any_content = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def content(before: str, after: str) -> bytes:
    return (json.dumps({"before": before, SEAL: UNSEALED, "after": after})).encode()


@given(st.text(), st.text(), st.data())
@any_content
def test_a_seal_holds_and_any_other_byte_breaks_it(
    tmp_path: Path, before: str, after: str, data: st.DataObject
) -> None:
    """Whether it is put into bytes or into a file, and however little of the file is searched for it."""
    plain, path = content(before, after), tmp_path / "file"
    path.write_bytes(plain)
    seal_file(path, len(plain))
    assert path.read_bytes() == sealed(plain)
    head = sealed(plain).index(SEAL.encode()) + 90
    assert seal_is_intact(path) is seal_is_intact(path, head) is True
    place = data.draw(st.integers(0, len(plain) - 1))
    other = bytearray(sealed(plain))
    other[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(other)
    assert seal_is_intact(path) is not True


def test_a_seal_is_the_digest_of_the_file_with_zeros_in_its_place() -> None:
    done = sealed(content("one", "two")).decode()
    digits = re.search(f'"{SEAL}": "(.{{64}})"', done)[1]
    assert hashlib.sha256(done.replace(digits, UNSEALED).encode()).hexdigest() == digits


def test_a_file_without_a_seal_and_one_that_only_speaks_of_seals(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(json.dumps({"text": f'"{SEAL}": "{UNSEALED}"'}))
    assert seal_is_intact(tmp_path / "file") is None
    (tmp_path / "file").write_bytes(b"")
    assert seal_is_intact(tmp_path / "file") is None


def test_a_digest_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc" * 100_000)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(b"abc" * 100_000).hexdigest()


@given(st.dictionaries(st.from_regex(r"\w[\w.-]*", fullmatch=True), st.integers(0, 2**60), max_size=4))
@any_content
def test_a_manifest_is_read_as_it_was_written(tmp_path: Path, sizes: dict[str, int]) -> None:
    manifest = Manifest("test", {name: Entry(size, "0" * 64) for name, size in sizes.items()})
    (tmp_path / MANIFEST).write_bytes(manifest.to_bytes())
    assert read_manifest(tmp_path) == manifest


@pytest.mark.parametrize(
    "files",
    [
        {"../thesis": {"bytes": 1, "sha256": ""}},
        {"/etc/passwd": {"bytes": 1, "sha256": ""}},
        {".hidden": {"bytes": 1, "sha256": ""}},
        {"": {"bytes": 1, "sha256": ""}},
        {"one": {"bytes": "many", "sha256": ""}},
        {"one": {"sha256": ""}},
        {"one": 3},
        ["one"],
        None,
    ],
)
def test_a_sealed_manifest_that_says_nonsense_is_refused(tmp_path: Path, files: object) -> None:
    """Anybody can seal a file; it must not lead out of its folder."""
    text = json.dumps({"format": 1, "kind": "test", "files": files, SEAL: UNSEALED})
    (tmp_path / MANIFEST).write_bytes(sealed(text.encode()))
    with pytest.raises(CheckpointError, match=re.escape(MANIFEST)):
        read_manifest(tmp_path)


@pytest.mark.parametrize("kind", ["folder", "dangling", "huge", "another program's"])
def test_what_only_bears_a_manifests_name_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / MANIFEST
    if kind == "folder":
        path.mkdir()
    elif kind == "dangling":
        path.symlink_to("nowhere")
    else:
        path.write_text(json.dumps({"x": "y" * (3_000_000 if kind == "huge" else 3)}))
    with pytest.raises(CheckpointError, match=f"{MANIFEST} is damaged or not minilm's"):
        check_unchanged(tmp_path, ["one"])


def test_a_folder_whose_files_are_links_is_read(tmp_path: Path) -> None:
    """As a hub's cache has them."""
    (tmp_path / "blob").write_bytes(b"one")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "one").symlink_to("../blob")
    manifest = Manifest("test", {"one": Entry(3, hashlib.sha256(b"one").hexdigest())})
    (tmp_path / "list").write_bytes(manifest.to_bytes())
    (tmp_path / "folder" / MANIFEST).symlink_to("../list")
    check_unchanged(tmp_path / "folder", ["one", "not listed"])
    assert not manifest.owns(tmp_path / "folder" / "one")  # a link is not what was written
    (tmp_path / "blob").write_bytes(b"two")
    with pytest.raises(CheckpointError, match="one is damaged, truncated or changed"):
        check_unchanged(tmp_path / "folder", ["one"])


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000, b"9" * 5000, b"nul"])
def test_what_is_not_json_is_one_kind_of_error(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(ValueError):
        parse_json(text)
    (tmp_path / "file").write_bytes(text)
    with pytest.raises(CheckpointError, match="file is not valid JSON"):
        read_json(tmp_path / "file")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_json(tmp_path)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a": ', "}"), ('[{"a": [', "]}]")])
def test_json_is_read_to_a_depth_that_can_be_printed_from_anywhere(opening: str, closing: str) -> None:
    """Whatever was read can stand in a message, and the limit does not depend on who asks."""
    each = opening.count("[") + opening.count("{")
    times = DEEPEST // each
    allowed = opening * times + "7" + closing * times
    for fill in ("7", '"[[[["', "[]" if DEEPEST % each else "null"):
        assert repr(parse_json(allowed.replace("7", fill)))
    for n in (times + 1, 150, 900, 950, 980, 990, 1000, 100_000):
        for inside in ("7", ""):
            text = opening * n + inside + closing * n
            if inside or opening.endswith("["):
                with pytest.raises(ValueError, match=f"nested more than {DEEPEST} deep"):
                    parse_json(text)


def test_many_lists_beside_each_other_are_not_deep() -> None:
    wide = [[[number], {"a": [number]}] for number in range(2000)]
    assert parse_json(json.dumps(wide)) == wide
    assert parse_json("null") is None
