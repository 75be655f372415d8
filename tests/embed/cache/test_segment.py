"""A segment holds what was written, and every damage to it is seen."""

import hashlib
import json
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embrm.embed import Fingerprint
from embrm.embed.cache._layout import new_prefix, segment_name, split_name
from embrm.embed.cache._segment import (
    SegmentDamageError,
    check_digest,
    count_rows,
    read_segment,
    set_aside,
    write_segment,
)
from embrm.exceptions import (
    DamagedSegmentWarning,
    FingerprintMismatchError,
    IntegrityError,
)

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def path(tmp_path, rows, fingerprint):
    """A segment of five rows."""
    return write_segment(tmp_path, *rows(), fingerprint, new_prefix())


def renamed_to_its_digest(path: Path, data: bytes) -> Path:
    """Write bytes under a name that carries their true digest."""
    name = segment_name(new_prefix(), hashlib.sha256(data).hexdigest()[:32])
    (path.parent / name).write_bytes(data)
    return path.parent / name


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.integers(1, 40), st.integers(1, 9), st.sampled_from(["float16", "float32"]))
def test_rows_come_back_bit_for_bit(tmp_path, rows, n, dim, dtype):
    """Claim: whatever n, d and dtype, keys and vectors are what was written."""
    who = Fingerprint({}, dim=dim, dtype=dtype)
    keys, vectors = rows(n, who=who)
    read = read_segment(
        write_segment(tmp_path, keys, vectors, who, new_prefix()), who, verify=True
    )
    assert read.keys.tobytes() == keys.tobytes()
    assert read.vectors.tobytes() == vectors.tobytes()
    assert (read.vectors.shape, read.vectors.dtype) == ((n, dim), dtype)


def test_vectors_are_a_read_only_view_of_the_file(path, fingerprint):
    """Claim: reading copies nothing and nothing can be written."""
    read = read_segment(path, fingerprint, verify=True)
    assert not read.vectors.flags.owndata
    assert not read.vectors.flags.writeable
    assert path.name in Path("/proc/self/maps").read_text()


def test_a_mapped_segment_keeps_no_file_open(path, fingerprint):
    """Claim: thousands of segments do not exhaust the open files."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    held = [read_segment(path, fingerprint, verify=True) for _ in range(20)]
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1
    assert len(held) == 20


def test_a_mapped_segment_outlives_its_file(path, fingerprint, rows):
    """Claim: a reader is not disturbed when the file is deleted."""
    read = read_segment(path, fingerprint, verify=True)
    path.unlink()
    np.testing.assert_array_equal(read.vectors, rows()[1])


def test_any_arrow_reader_can_read_a_segment(path, rows):
    """Claim: a segment is a plain Arrow IPC file."""
    table = pa.ipc.open_file(str(path)).read_all()
    assert table.column_names == ["key", "vector"]
    assert table["vector"].to_pylist() == rows()[1].tolist()


def test_the_golden_store_is_still_read():
    """Claim: a segment written by the first release gives the same rows."""
    expected = json.loads((GOLDEN / "expected.json").read_text())
    who = Fingerprint.from_json(expected["fingerprint"])
    (path,) = (GOLDEN / who.digest / "segments").iterdir()
    read = read_segment(path, who, verify=True)
    assert [bytes(key).hex() for key in read.keys] == expected["keys"]
    assert read.vectors.tolist() == expected["vectors"]


def test_every_single_flipped_bit_is_seen(path, fingerprint, damage):
    """Claim: of 500 random flips over the whole file each is reported as damage."""
    size = path.stat().st_size
    for bit in np.random.default_rng(0).choice(8 * size, 500, replace=False):
        damage(path, int(bit))
        with pytest.raises(SegmentDamageError, match="as it was written; got digest"):
            read_segment(path, fingerprint, verify=True)
        damage(path, int(bit))
    assert len(read_segment(path, fingerprint, verify=True)) == 5


def test_an_unchecked_read_of_a_flipped_bit_never_does_worse(path, fingerprint, damage):
    """Claim: with verify off, a flip gives wrong rows or a clean error, no crash."""
    for bit in np.random.default_rng(1).choice(8 * path.stat().st_size, 500, False):
        damage(path, int(bit))
        with suppress(SegmentDamageError):
            assert read_segment(path, fingerprint, verify=False).vectors.shape[1] == 4
        damage(path, int(bit))


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, -1])
@pytest.mark.parametrize("verify", [True, False])
def test_a_cut_file_is_damaged(path, fingerprint, keep, verify):
    """Claim: a truncated segment is seen, also without the digest."""
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data)) if keep == 0.5 else keep])
    with pytest.raises(SegmentDamageError, match="as it was written"):
        read_segment(path, fingerprint, verify=verify)


def test_a_segment_under_another_name_is_damaged(path, fingerprint):
    """Claim: a digest from another segment's name does not match."""
    prefix, _ = split_name(path.name)
    other = path.rename(path.with_name(segment_name(prefix, "0" * 32)))
    with pytest.raises(SegmentDamageError, match="got digest"):
        check_digest(other)


def test_another_layout_is_refused(path, fingerprint):
    """Claim: a whole segment of a later layout is not guessed at."""
    newer = path.read_bytes().replace(
        b"\x01\x00\x00\x001\x00\x00\x00\x0c\x00\x00\x00embrm.layout",
        b"\x01\x00\x00\x002\x00\x00\x00\x0c\x00\x00\x00embrm.layout",
    )
    assert newer != path.read_bytes()
    newer_path = renamed_to_its_digest(path, newer)
    with pytest.raises(IntegrityError, match=r"layout 1; got layout 2.*upgrade embrm"):
        read_segment(newer_path, fingerprint, verify=True)


@pytest.mark.parametrize("verify", [True, False])
def test_a_flipped_layout_is_damage_and_no_later_layout(
    path, fingerprint, damage, verify
):
    """Claim: a damaged segment is set aside even where only its version is hit."""
    at = path.read_bytes().rindex(b"\x0c\x00\x00\x00embrm.layout") - 4
    damage(path, 8 * at + 1)
    with pytest.raises(SegmentDamageError, match="got digest"):
        read_segment(path, fingerprint, verify=verify)


def test_a_segment_of_another_store_is_refused(path):
    """Claim: a copied file does not smuggle in another encoder's vectors."""
    other = Fingerprint({"kind": "other"}, dim=4, dtype="float16")
    got = rf"fingerprint {other.digest}; got fingerprint .*move the file"
    with pytest.raises(FingerprintMismatchError, match=got):
        read_segment(path, other, verify=True)


def test_other_columns_are_damage(path, fingerprint):
    """Claim: the right digest does not excuse the wrong content."""
    metadata = pa.ipc.open_file(str(path)).schema.metadata
    table = pa.table({"key": [1]}).replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    other = renamed_to_its_digest(path, sink.getvalue().to_pybytes())
    with pytest.raises(SegmentDamageError, match="other columns than key and vector"):
        read_segment(other, fingerprint, verify=True)


def test_a_wrong_count_of_rows_is_damage(tmp_path, rows, fingerprint):
    """Claim: rows that are promised and not there are seen before they are read."""
    path = write_segment(tmp_path, *rows(77), fingerprint, new_prefix())
    count, more = (n.to_bytes(8, "little") for n in (77, 177))
    other = renamed_to_its_digest(path, path.read_bytes().replace(count, more))
    with pytest.raises(SegmentDamageError, match="missing or short buffers"):
        read_segment(other, fingerprint, verify=True)


def test_a_second_record_batch_is_damage(path, fingerprint):
    """Claim: rows are never left out silently."""
    table = pa.ipc.open_file(str(path)).read_all()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
        writer.write_table(table)
    other = renamed_to_its_digest(path, sink.getvalue().to_pybytes())
    with pytest.raises(SegmentDamageError, match="got 2 record batches"):
        read_segment(other, fingerprint, verify=True)


def test_no_arrow_file_is_damage(path, fingerprint):
    """Claim: any other bytes are refused even with the right digest."""
    other = renamed_to_its_digest(path, b"nothing of ours")
    with pytest.raises(SegmentDamageError, match="got no Arrow file"):
        read_segment(other, fingerprint, verify=True)


def test_rows_are_counted_without_reading_them(path):
    """Claim: the count is that of the record batch."""
    assert count_rows(path) == 5


def test_a_damaged_segment_is_set_aside_with_a_warning(path):
    """Claim: it is renamed, and the warning names it and what follows."""
    with pytest.warns(DamagedSegmentWarning, match=f"{path.name}.*embedded again"):
        set_aside(path)
    assert [one.name for one in path.parent.iterdir()] == [path.name + ".damaged"]


def test_what_cannot_be_renamed_is_skipped_with_a_warning(path, monkeypatch):
    """Claim: a read-only cache can be read."""

    def refuse(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.rename", refuse)
    with pytest.warns(DamagedSegmentWarning, match="skipped, as it cannot be renamed"):
        set_aside(path)
    assert path.exists()


def test_what_another_process_has_set_aside_is_no_news(path):
    """Claim: only the process that renames it warns."""
    path.unlink()
    set_aside(path)


def test_a_copy_of_a_segment_is_as_good_as_the_segment(path, fingerprint, tmp_path):
    """Claim: segments may be copied between machines with any tool."""
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    read = read_segment(Path(shutil.copy(path, copy)), fingerprint, verify=True)
    assert len(read) == 5
