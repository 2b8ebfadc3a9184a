# kubefab: `make up` and `make test` are all a newcomer needs; `make help` lists the rest.
PYTHON ?= python3
# Not from the environment, where it may be a venv of the person's own: making one deletes what is in it.
VENV = .venv
BIN := $(VENV)/bin
# Debian's own, which people have who install nothing for kubefab.
STOCK := /usr/bin/python3
VENV_OK := $(PYTHON) -c 'import ensurepip, venv'
# The venv is made anew when its contents, its Python or its place would differ, and never otherwise.
MADE_OF := { $(PYTHON) --version; pwd; cat requirements.lock; } 2>&1 | sha256sum | cut -c1-16
MADE := $(VENV)/made-of-$(shell $(MADE_OF))
SHELL_FILES = $(shell find .ci bench lab scripts -name '*.sh') .ci/run lab/image/machine/usr/local/sbin/lab-init

# Written by lab.up.
LAB_HOSTS = /var/lib/kubefab-lab/hosts.yml

.DEFAULT_GOAL := help
# Two of these at once (MAKEFLAGS=-j8, which some export) would make the same venv, each deleting the other's.
.NOTPARALLEL:
.PHONY: help up lab down venv check style check-elsewhere elsewhere test proof tools bench pictures lock sentences

help: ## This list
	@sed -nE 's/^([a-z]+):[^#]*## /  make \1\t/p' Makefile | expand -t 18

up: lab ## A Kubernetes cluster on two machines that are made on this computer
	@INV_HOSTS=$(LAB_HOSTS) $(BIN)/inv cluster.up
	@echo 'in your shell: . $(BIN)/activate; export INV_HOSTS=$(LAB_HOSTS)'

lab: $(MADE) ## The two machines alone
	@$(BIN)/inv lab.up

down: $(MADE) ## Take away all that the lab made; what was built stays cached
	@$(BIN)/inv lab.down

venv: $(MADE) ## .venv alone, which has inv: all that machines of your own want of this computer
	@:

check: style ## Whatever needs no machine: style, types, unit tests
	$(UNIT)

style: $(MADE)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	PATH=$(BIN):$$PATH shellcheck $(SHELL_FILES)

UNIT_TESTS = .proof/unit-tests.xml
UNIT = $(BIN)/pytest --ignore=tests/e2e --ignore=tests/proof --numprocesses=auto --maxprocesses=8 \
    --junit-xml=$(UNIT_TESTS)

check-elsewhere: # the unit tests on a computer like nobody's; with this one's stock Python, where that is another
	@if [ -x $(STOCK) ] && [ "$$($(STOCK) --version)" != "$$($(PYTHON) --version)" ]; then \
	    $(MAKE) elsewhere PYTHON=$(STOCK) VENV=.venv-stock; else $(MAKE) elsewhere; fi

elsewhere: $(MADE)
	$(BIN)/python -m tests.surroundings $(UNIT)

# The unit tests once only, where more of them can fail.
test: tools style check-elsewhere ## All of it: style, types, unit tests, then end to end on the lab's machines
	@UNIT_TESTS=$(UNIT_TESTS) LAB_FROM=source .ci/end-to-end.sh

proof: $(MADE) ## What is long, as far as its files have changed since (ARGS=--stale lists it)
	@LAB_FROM=source $(BIN)/python -m tests.proof $(ARGS)

# Some unit tests want these; where they are not to be had, those say NOT TRIED.
TOOLS = btrfs-progs e2fsprogs locales lvm2 openssh-client procps strace
tools:
	@dpkg --status $(TOOLS) >/dev/null 2>&1 || echo 'installing Debian packages: $(TOOLS)'
	@dpkg --status $(TOOLS) >/dev/null 2>&1 || \
	    { apt-get -q update && apt-get -qy --no-install-recommends install $(TOOLS); } || true

bench: export LAB_FROM = source
bench: lab ## kubefab beside the same by hand and beside Ansible (ARGS='--runs 5 --write')
	@$(BIN)/python -m bench.run $(ARGS)

sentences: $(MADE) ## Every title, error, hint and line of help, in one list to read
	@$(BIN)/python -m tests.sentences

pictures: $(MADE) ## The pictures of README.md anew, of real runs on the lab
	@$(BIN)/python -m tests.pictures

lock: $(MADE) ## The newest versions that pyproject.toml allows, locked with their hashes
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --group dev $(LOCKED) --output-file requirements.lock
	$(BIN)/uv pip compile bench/ansible.in --python-version 3.11 $(LOCKED) --output-file bench/ansible.lock
	$(BIN)/uv pip compile lab/go.in $(LOCKED) --output-file lab/go.lock
LOCKED = --upgrade --universal --generate-hashes --no-annotate --quiet --custom-compile-command 'make lock'

$(MADE):
	@$(VENV_OK) 2>/dev/null || echo 'installing Debian packages: python3-venv'
	@$(VENV_OK) 2>/dev/null || { apt-get -q update && apt-get -qy --no-install-recommends install python3-venv; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "kubefab wants Python 3.11 or newer")'
	@echo 'making $(VENV) from requirements.lock'
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/pip install --quiet --require-hashes --no-deps --only-binary :all: -r requirements.lock
	@$(BIN)/python -m compileall -q tasks.py kubefab lab  # not every computer lets Python write these as it goes
	@touch $(VENV)/made-of-$$($(MADE_OF))  # of the Python that there is now
