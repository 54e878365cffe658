# Verbs only. `make` alone lists them. Everything happens in .venv, made on first use.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip --quiet --disable-pip-version-check
ON = $(if $(PROFILE),--profile $(PROFILE))
OPTIONS = $(ON) $(if $(DATA),--data $(DATA)) $(ARGS)

.DEFAULT_GOAL := help
.PHONY: help install figures test test-faults bench compare-paper lock

help:  ## list the verbs
	@grep -hE '^[a-z% -]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

sweep-%: $(VENV)/installed  ## run a study and draw it: make sweep-rho [PROFILE=mtd DATA=folder] [ARGS="--noise 0.2"]
	@$(RUN) -m sweeps $* $(OPTIONS)

figure-% table-%: $(VENV)/installed  ## draw a report from results, computing nothing: make figure-rho [PROFILE=mtd], or by the paper's number: figure-2 to figure-8, table-1 to table-30
	@$(RUN) -m reports $@ $(ON) $(ARGS)

figures: $(VENV)/installed  ## draw every study and numbered table that has results: make figures [PROFILE=mtd]
	@$(RUN) -m reports $(ON) $(ARGS)

compare-paper: $(VENV)/installed  ## print our results beside the published ones: make compare-paper STUDY=mvtec_ad [PROFILE=mvtec_ad]
	@$(RUN) -m reports.differences $(STUDY) $(ON) $(ARGS)

bench: $(VENV)/installed-dev  ## measure speed and memory side by side with alternatives: make bench [ARGS="metrics"]
	@$(RUN) -m tests.bench $(ARGS)

test: $(VENV)/installed-dev  ## lint, types, import law, doctests and tests
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy
	@$(VENV)/bin/lint-imports --no-logo
	@$(RUN) -m pytest --numprocesses 2 --dist loadfile -m "not faults"

test-faults: $(VENV)/installed-dev  ## kill, stop, fill and race what a study needs, and see that nothing is lost
	@$(RUN) -m pytest tests/faults

install: $(VENV)/installed  ## make the environment

lock: pyproject.toml  ## resolve the newest allowed versions anew and write them down (maintainers)
	@rm -rf $(VENV) && $(PYTHON) -m venv $(VENV) && $(PIP) install --editable '.[cpu,dev]'
	@$(PIP) freeze --exclude-editable | sed 's/+cpu$$//' | grep -vE '^(nvidia-|cuda-)' > requirements/lock.txt
	@touch $(VENV)/installed $(VENV)/installed-dev

$(VENV)/installed: pyproject.toml requirements/lock.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	@echo "Installing into $(VENV) (a few minutes, once)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --constraint requirements/lock.txt --editable '.[cpu]'
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@$(PIP) install --constraint requirements/lock.txt --editable '.[cpu,dev]'
	@touch $@
