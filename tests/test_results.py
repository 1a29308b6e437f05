"""Results files: whole or not there, refused by name when damaged or missing."""

import json
import math

import pyarrow.parquet as pq
import pytest
from commands import SPEC, p2pl

from p2pl import results
from p2pl.results import ResultsError, collect, load, read, table_of
from p2pl.sweep import cells


def test_a_full_disk_is_said_in_a_sentence(tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(results, "write_whole", full)
    code, _, err = p2pl("run", json.dumps(SPEC | {"rounds": 1}), "--out", tmp_path / "r", capsys=capsys)
    assert (code, "No space left" in err, "Traceback" in err) == (1, True, False)


def test_damaged_or_missing_results_are_named_not_averaged_over(tmp_path, capsys):
    table = {
        "experiments": {"e": {"base": SPEC | {"rounds": 1}, "arms": {"a": {}, "b": {"topology": "star"}}, "seeds": 2}}
    }
    found = cells(table, "e")
    with pytest.raises(ResultsError, match=f"{found[0].key}.parquet"):
        collect(found, tmp_path, tmp_path / "t.parquet")
    for cell in found:
        p2pl("run", cell.spec, "--seeds", "0,1", "--out", tmp_path / f"{cell.key}.parquet", capsys=capsys)
    collect(found, tmp_path, tmp_path / "t.parquet")
    frame = load(tmp_path / "t.parquet")
    assert len(frame) == 2 * 2 * 3
    assert set(frame.arm) == {"a", "b"}
    path = tmp_path / f"{found[1].key}.parquet"
    whole = path.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"PAR1" + whole[4:-200]):
        path.write_bytes(damaged)
        with pytest.raises(ResultsError, match=path.name):
            collect(found, tmp_path, tmp_path / "t.parquet")
    p2pl("run", found[1].spec, "--seeds", "0", "--out", path, capsys=capsys)
    with pytest.raises(ResultsError, match=r"seed \[1\]"):
        collect(found, tmp_path, tmp_path / "t.parquet")
    pq.write_table(read(tmp_path / "t.parquet")[0].replace_schema_metadata({}), path)
    with pytest.raises(ResultsError, match="was not written by p2pl"):
        read(path)


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "r.parquet"
    row = {"run": "x", "round": 0, "loss_mean": 1.0}
    results.write(table_of([row]), path, {})
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(results.pq, "write_table", full)
    with pytest.raises(OSError, match="No space left"):
        results.write(table_of([row, row]), path, {})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_nan_is_not_a_measurement():
    with pytest.raises(ValueError, match="loss_mean is not a number"):
        table_of([{"round": 1, "loss_mean": math.nan}])
