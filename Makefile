# Verbs only. `make` alone lists them. Everything happens in .venv, made on first use.
PYTHON ?= python3
VENV := .venv
# cpu or gpu; once made with one, an environment stays so until the other is asked for.
EXTRA ?= $(if $(wildcard $(VENV)/installed-gpu),gpu,cpu)
INSTALLED := $(VENV)/installed-$(EXTRA)
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip --quiet --disable-pip-version-check
ON = $(if $(PROFILE),--profile $(PROFILE))
OPTIONS = $(ON) $(if $(DATA),--data $(DATA)) $(ARGS)

.DEFAULT_GOAL := help
.PHONY: help install figures test test-faults bench compare-paper lock

help:  ## list the verbs
	@grep -hE '^[a-z% -]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

sweep-%: $(INSTALLED)  ## run a study and draw it: make sweep-rho [PROFILE=mtd DATA=folder] [ARGS="--noise 0.2"]
	@$(RUN) -m sweeps $* $(OPTIONS)

figure-% table-%: $(INSTALLED)  ## draw a report from results, computing nothing: make figure-rho [PROFILE=mtd], or by the paper's number: figure-2 to figure-8, table-1 to table-30
	@$(RUN) -m reports $@ $(ON) $(ARGS)

figures: $(INSTALLED)  ## draw every study and numbered table that has results: make figures [PROFILE=mtd]
	@$(RUN) -m reports $(ON) $(ARGS)

compare-paper: $(INSTALLED)  ## print our results beside the published ones: make compare-paper STUDY=mvtec_ad [PROFILE=mvtec_ad]
	@$(RUN) -m reports.published.compare $(STUDY) $(ON) $(ARGS)

bench: $(INSTALLED)-dev  ## measure speed and memory side by side with alternatives: make bench [ARGS="metrics"]
	@$(RUN) -m tests.bench $(ARGS)

# The tests of a file stay in one process, as they share what they prepare.
SIDE_BY_SIDE := --numprocesses 2 --dist loadfile

test: $(INSTALLED)-dev  ## lint, types, import law, doctests and tests
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy
	@$(VENV)/bin/lint-imports --no-logo
	@$(RUN) -m pytest $(SIDE_BY_SIDE) --no-loadscope-reorder -m "not faults"

test-faults: $(INSTALLED)-dev  ## kill, stop, fill and race what a study needs, and see that nothing is lost
	@$(RUN) -m pytest $(SIDE_BY_SIDE) tests/faults

install: $(INSTALLED)  ## make the environment: make install [EXTRA=gpu]

lock: pyproject.toml  ## resolve the newest allowed versions anew and write them down (maintainers)
	@rm -rf $(VENV) && $(PYTHON) -m venv $(VENV) && $(PIP) install --editable '.[cpu,dev]'
	@$(PIP) freeze --exclude-editable | sed 's/+cpu$$//' | grep -vE '^(nvidia-|cuda-)' > requirements/lock.txt
	@touch $(VENV)/installed-cpu $(VENV)/installed-cpu-dev

$(INSTALLED): pyproject.toml requirements/lock.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	@echo "Installing into $(VENV) (a few minutes, once)"
	@test -e $@ || rm -rf $(VENV)  # torch and faiss of one extra would stay beside those of the other
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --constraint requirements/lock.txt --editable '.[$(EXTRA)]'
	@touch $@

$(INSTALLED)-dev: $(INSTALLED)
	@$(PIP) install --constraint requirements/lock.txt --editable '.[$(EXTRA),dev]'
	@touch $@
