"""`p2pl build`: where the library goes, and what is said when there is none."""

import stat
from pathlib import Path

import pytest
from commands import p2pl

from p2pl.native import build


def fake(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """Nothing is built, and the package's folder cannot be written: builds go to a cache of the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(build, "places", lambda: [Path("/dev/null/no"), tmp_path / "cache/p2pl" / build.library_name()])
    return tmp_path


def test_a_compiler_that_fails_is_quoted(nowhere, monkeypatch, capsys):
    monkeypatch.setenv("CXX", fake(nowhere / "cxx", "seq 100 >&2; echo 'no such flag' >&2; exit 3"))
    code, out, err = p2pl("build", capsys=capsys)
    assert (code, out) == (1, "")
    assert err.startswith(f"p2pl: the compiler failed (exit code 3): {nowhere / 'cxx'} -std=c++17")
    assert err.endswith("99\n100\nno such flag\n")
    assert len(err.splitlines()) == 21
    assert build.built() is None


def test_no_compiler_is_one_sentence(nowhere, monkeypatch, capsys):
    monkeypatch.setenv("CXX", "no-such-compiler")
    said = "p2pl: no-such-compiler: No such file or directory; the torch engine works without a compiler\n"
    assert p2pl("build", capsys=capsys) == (1, "", said)
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", str(nowhere))
    said = "p2pl: there is no C++ compiler (set CXX to one); the torch engine works without it\n"
    assert p2pl("build", capsys=capsys) == (1, "", said)


def test_the_library_appears_whole_in_the_first_place_that_can_be_written(nowhere, monkeypatch, capsys):
    compiler = fake(nowhere / "cxx", 'for last; do :; done\nwhile [ "$1" != -o ]; do shift; done; echo made > "$2"')
    monkeypatch.setenv("CXX", compiler)
    code, out, _ = p2pl("build", capsys=capsys)
    made = nowhere / "cache/p2pl" / build.library_name()
    assert (code, out) == (0, f"the native engine is in {made}\n")
    assert made.read_text() == "made\n"
    assert list(made.parent.iterdir()) == [made]
    assert build.built() == made


def test_libraries_of_other_sources_go_but_for_those_in_the_users_cache(nowhere, monkeypatch, capsys):
    monkeypatch.setenv("CXX", fake(nowhere / "cxx", 'while [ "$1" != -o ]; do shift; done; echo made > "$2"'))
    package, cache = nowhere / "package", nowhere / "cache/p2pl"
    for folder in (package, cache):
        folder.mkdir(parents=True)
        for name in ("p2pl-0123.so", "p2pl-4567.so", "other.so"):
            (folder / name).write_text("old")
    monkeypatch.setattr(build, "FOLDER", package)
    name = build.library_name()
    monkeypatch.setattr(build, "places", lambda: [package / name, cache / name])
    unlink = Path.unlink

    def reluctant(path, **options):
        if path.name == "p2pl-4567.so":
            raise PermissionError(path)
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", reluctant)
    assert p2pl("build", capsys=capsys)[0] == 0
    assert {path.name for path in package.iterdir()} == {name, "p2pl-4567.so", "other.so"}
    monkeypatch.setattr(build, "places", lambda: [Path("/dev/null/no"), cache / name])
    assert p2pl("build", capsys=capsys)[0] == 0
    assert {path.name for path in cache.iterdir()} == {name, "p2pl-0123.so", "p2pl-4567.so", "other.so"}


def test_other_sources_or_flags_have_another_name(monkeypatch, tmp_path):
    name = build.library_name()
    monkeypatch.setattr(build, "FLAGS", [*build.FLAGS, "-O2"])
    assert build.library_name() != name


def test_the_user_cache_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert build.places()[-1].parent == tmp_path / "p2pl"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert build.places()[-1].parent == Path.home() / ".cache/p2pl"
