"""Which engine a spec gets, and where that is said."""

import json

import pytest
from commands import SPEC, p2pl

from p2pl import Experiment, SpecError, results
from p2pl.checkpoint import stamp
from p2pl.engine import prepare
from p2pl.native import build
from p2pl.native.mixing import NativeProduct
from p2pl.products import TorchProduct


@pytest.fixture
def here(native, monkeypatch):
    """The library is where the engine looks for it."""
    monkeypatch.setattr(build, "built", lambda: native)
    monkeypatch.delenv("P2PL_ISA", raising=False)


def engine_of(**changes):
    return prepare(Experiment.of(SPEC | changes)).work.learner.name


def mixes(**changes):
    setting = prepare(Experiment.of(SPEC | {"devices": 8, "topology": "ring"} | changes))
    setting.channel.mix(setting.draw())
    return setting.channel._held[2]


def test_auto_is_native_where_it_can_be(here, libraries, monkeypatch):
    best = f"native ({libraries[0].chosen})"
    assert engine_of() == engine_of(engine="native") == best
    assert engine_of(engine="torch") == engine_of(dtype="float64") == "torch"
    assert engine_of(model="cnn", dataset="mnist5k", samples=None) == "torch"
    for engine, native in (("auto", True), ("torch", False)):
        assert isinstance(mixes(engine=engine), NativeProduct) is native
    assert isinstance(mixes(model="cnn", dataset="mnist5k", samples=None), TorchProduct)  # one engine for a whole run
    monkeypatch.setenv("P2PL_ISA", "portable")
    assert engine_of() == "native (portable)"
    monkeypatch.setenv("P2PL_ISA", "avx9")
    with pytest.raises(SpecError, match=r"P2PL_ISA=avx9: this machine can do .*portable"):
        engine_of()
    monkeypatch.setattr(build, "built", lambda: None)
    assert engine_of() == "torch"
    with pytest.raises(SpecError, match=r"not built: run `p2pl build`"):
        engine_of(engine="native")
    with pytest.raises(SpecError, match=r"perceptrons in float32; this spec has model 'mlp' in float64"):
        engine_of(engine="native", dtype="float64")


def test_a_run_says_which_engine_it_used(here, tmp_path, capsys):
    stamps = set()
    for engine in ("native", "torch"):
        out, spec = tmp_path / engine, SPEC | {"engine": engine}
        _, text, errors = p2pl("run", json.dumps(spec), "--out", out, "--json", capsys=capsys)
        summary = json.loads(text)
        assert summary["engine"].startswith(engine)
        assert f"engine: {summary['engine']}\n" in errors
        assert results.load(out).attrs["engines"] == {summary["run"]: summary["engine"]}
        stamps.add(stamp(prepare(Experiment.of(SPEC | {"engine": "auto" if engine == "native" else engine}))))
    assert len({one.split("engine ")[1] for one in stamps}) == 2
