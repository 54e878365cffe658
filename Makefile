# Targets are verbs; `make` alone lists them. Everything runs in .venv, which is created on first use.
PYTHON ?= python3
VENV := .venv
# cpu or gpu; an environment keeps its extra until the other one is requested.
EXTRA ?= $(if $(wildcard $(VENV)/installed-gpu),gpu,cpu)
INSTALLED := $(VENV)/installed-$(EXTRA)
RUN := $(VENV)/bin/python
MEDS := $(RUN) -m meds_bench
PIP := $(RUN) -m pip --quiet --disable-pip-version-check
ON = $(if $(PROFILE),--profile $(PROFILE))
OPTIONS = $(ON) $(if $(DATA),--data $(DATA)) $(ARGS)

.DEFAULT_GOAL := help
.PHONY: help install figures site docs results test test-slow test-faults bench compare compare-paper dist lock lock-check

help:  ## list the targets
	@grep -hE '^[a-z% -]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

sweep-%: $(INSTALLED)  ## run a study and draw its report: make sweep-rho [PROFILE=mtd DATA=folder] [ARGS="--noise 0.2"]
	@$(MEDS) run $* $(OPTIONS)

figure-% table-%: $(INSTALLED)  ## draw a report from stored results: make figure-rho [PROFILE=mtd], or by the paper's number: figure-2 to figure-8, table-1 to table-30
	@$(MEDS) report $@ $(ON) $(ARGS)

figures: $(INSTALLED)  ## draw every study and numbered table that has results: make figures [PROFILE=mtd]
	@$(MEDS) report $(ON) $(ARGS)

compare: $(INSTALLED)  ## print what changed between two results beyond chance: make compare A=export-before B=export-after, or A=rho/laptop B=old-runs/rho/laptop
	@$(MEDS) compare $(A) $(B) $(ARGS)

compare-paper: $(INSTALLED)  ## print our results beside the published ones: make compare-paper STUDY=mvtec_ad [PROFILE=mvtec_ad]
	@$(MEDS) compare-paper $(STUDY) $(ON) $(ARGS)

site: $(INSTALLED)  ## build one site over all studies, runs and images in runs/site: make site [ARGS="--exports docs/results"]
	@$(MEDS) site $(ARGS)

bench: $(INSTALLED)-dev  ## measure speed and memory side by side with alternatives: make bench [ARGS="metrics"]
	@$(RUN) -m tests.bench $(ARGS)

docs: $(INSTALLED)-docs  ## write the generated lists in docs/*.md, and build the pages as a site in runs/docs
	@$(RUN) -m docs.generator docs
	@$(RUN) -m sphinx --quiet --fresh-env --fail-on-warning --keep-going --nitpicky docs runs/docs
	@echo runs/docs/index.html

results: $(INSTALLED)  ## write the tables and figures of docs/results.md and README.md from exported runs
	@$(RUN) -m docs.generator results

# The tests of a file stay in one process, because they share prepared data.
SIDE_BY_SIDE := --numprocesses 2 --dist loadfile
# Threads of one process would wait for those of the other, and burn a quarter of the time.
test test-slow test-faults: export OMP_NUM_THREADS := 1

test: $(INSTALLED)-dev  ## run linters, type checks, import contracts, doctests and tests
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy
	@$(VENV)/bin/lint-imports --no-logo
	@$(RUN) -m pytest $(SIDE_BY_SIDE) --no-loadscope-reorder -m "not slow and not faults"

test-slow: $(INSTALLED)-dev  ## test packages in fresh environments, studies on clusters, and what `make test` shows for further methods
	@$(RUN) -m pytest $(SIDE_BY_SIDE) --no-loadscope-reorder -m "slow and not faults"

test-faults: $(INSTALLED)-dev  ## test studies against killed processes, full disks, lost servers and races
	@$(RUN) -m pytest $(SIDE_BY_SIDE) tests/faults

dist: $(INSTALLED)-dev  ## build the packages for an upload in dist/, and check their description
	@$(RUN) -m uv build --quiet --clear
	@$(RUN) -m uv tool run twine check --strict dist/*

install: $(INSTALLED)  ## create the environment: make install [EXTRA=gpu]

lock: pyproject.toml  ## resolve the newest allowed versions and write requirements/lock.txt (maintainers)
	@rm -rf $(VENV) && $(PYTHON) -m venv $(VENV) && $(PIP) install --editable '.[cpu,dev,docs]'
	@$(PIP) freeze --exclude-editable | sed 's/+cpu$$//' | grep -vE '^(nvidia-|cuda-)' > requirements/lock.txt
	@touch $(VENV)/installed-cpu $(VENV)/installed-cpu-dev $(VENV)/installed-cpu-docs

# torch has wheels for macOS from version 14 on. The theme of the pages needs Python 3.11.5.
lock-check: $(INSTALLED)-dev  ## check that requirements/lock.txt resolves for every supported Python and machine (maintainers)
	@for python in 3.11.5 3.12 3.13 3.14; do for machine in x86_64-manylinux_2_28 aarch64-manylinux_2_28 aarch64-apple-darwin; do \
	  MACOSX_DEPLOYMENT_TARGET=14.0 $(RUN) -m uv pip compile pyproject.toml --extra cpu --extra dev --extra docs --quiet \
	  --constraint requirements/lock.txt --only-binary :all: --python-version $$python --python-platform $$machine > /dev/null \
	  && echo "resolves: Python $$python on $$machine" || exit 1; done; done

$(INSTALLED): pyproject.toml requirements/lock.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15) and "This is Python %d.%d, but Python 3.11 to 3.14 is needed. Install one of these versions and name it: make PYTHON=python3.13 TARGET" % sys.version_info[:2])'
	@echo "Installing into $(VENV) (a few minutes, once)"
	@test -e $@ || rm -rf $(VENV)  # otherwise torch and faiss of the other extra would stay installed
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --constraint requirements/lock.txt --editable '.[$(EXTRA)]'
	@touch $@

$(INSTALLED)-dev $(INSTALLED)-docs: $(INSTALLED)-%: $(INSTALLED)
	@$(PIP) install --constraint requirements/lock.txt --editable '.[$(EXTRA),$*]'
	@touch $@
