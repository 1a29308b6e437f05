# `make figures` and `make test` need nothing but Python >= 3.11: each sets up .venv first, from requirements.lock.
#
#   make figures                              the embedded data, all cores
#   make figures CONFIG=config/paper.yaml     the papers' scale
#   make smoke                                the whole pipeline at toy size
#   make test      make check                 the tests; linters, formats and types
#   make slow                                 the tests that take minutes, which `make test` leaves out
#   make lock                                 pin pyproject.toml's dependencies anew (needs uv)

CONFIG  ?= config/config.yaml
CORES   ?= all
# Python 3.14 is asked for late: it needs a C compiler, for `immutables`, which Snakemake needs.
PYTHON  ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
             $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
READY   := .venv/.ready
RESULTS  = $(shell sed -n '/^ *\#/d; s/.*results: *\([^ ,}]*\).*/\1/p' $(CONFIG) | head -n 1)

export PATH := $(CURDIR)/.venv/bin:$(PATH)
unexport PYTHONDONTWRITEBYTECODE # .venv comes without bytecode: it is written once, or each start takes twice as long

.PHONY: figures smoke test slow check lock
figures: $(READY)
	snakemake --cores $(CORES) --configfile $(CONFIG) --report $(or $(RESULTS),results)/report.html --report-after-run

smoke:
	$(MAKE) figures CONFIG=config/smoke.yaml

test: $(READY) # one thread a process: the runs under test are small, and pytest-xdist has the other cores
	OMP_NUM_THREADS=1 python -m pytest

slow: $(READY)
	OMP_NUM_THREADS=1 python -m pytest -m slow

check: $(READY)
	snakemake --lint
	snakefmt --check Snakefile theory/rules.smk
	ruff format --check .
	ruff check .
	mypy

# The lock names every package and the hash of every file of it: nothing is left to resolve (--no-deps) or to compile
# beforehand (--no-compile), and that makes plain pip four times faster. Of two at once, one builds and the other waits;
# what was begun and not ended (the file says so) is built from nothing, for pip trusts what it finds. Without a C++
# compiler, which `p2pl build` then says, runs take longer.
$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python >= 3.11 found: name one, as in make PYTHON=/path/to/python3"; exit 1; }
	@set -e; exec 9>> .venv.begun; $(PYTHON) -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'; \
	if test $@ -nt requirements.lock && test $@ -nt pyproject.toml; then exit; fi; \
	clear=$$(test ! -s .venv.begun || echo --clear); echo begun >&9; set -x; \
	$(PYTHON) -m venv $$clear .venv; \
	python -m pip install --quiet --no-deps --no-compile --require-hashes -r requirements.lock; \
	python -m pip install --quiet --no-deps --no-build-isolation --editable .; \
	p2pl build || true; \
	touch $@; : > .venv.begun

lock:
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --upgrade \
	    --no-annotate --no-header --output-file requirements.lock
