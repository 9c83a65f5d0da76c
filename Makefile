# `make help` lists the targets. Stages run `python`, so the environment's programs come first.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
VENV := .venv
EXTRAS := dev
CONSTRAINTS := constraints.txt
# uv installs in seconds what takes pip minutes; where it cannot be had, or finds no packages, pip does the same.
PIP = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS)
UV = $(VENV)/bin/uv pip install --quiet --python $(VENV)/bin/python --constraint $(CONSTRAINTS) --compile-bytecode --editable
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.PHONY: help setup repro test test-all mnist browser faults mutations mutants screenshots check audit ui sweep gradcheck recipes bench clean postgres big own-data storm deploy-check ray ray-test

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(VENV)/.installed .dvc/config.local ## create or update .venv with the tested versions

# The path file lets the commands be typed in sub-folders, too: they find the project above.
$(VENV)/.installed: pyproject.toml $(CONSTRAINTS)
	@test -x $(VENV)/bin/python || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python >= 3.11 is needed; set PYTHON=python3.11")'
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) uv && $(UV) '.[$(EXTRAS)]' || { echo 'setup: without uv; pip takes minutes' >&2; $(PIP) --editable '.[$(EXTRAS)]'; }
	@echo '$(CURDIR)' > "$$($(VENV)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/mlpsweep-checkout.pth"
	@touch $@

# DVC keeps a pickle cache in a folder that every local user may write, unless told otherwise.
.dvc/config.local: | $(VENV)/.installed
	@install -d -m 700 .dvc/site-cache
	@dvc config --quiet --local core.site_cache_dir '$(CURDIR)/.dvc/site-cache'

repro: setup ## environment, data, baselines, search, winner, evaluation, report
	dvc repro

test: setup ## tests that need no browser, no real files, no long kill and no DVC
	python -m pytest -q -n auto --dist loadscope -m 'not network and not mnist and not browser and not fault and not dvc and not postgres'

test-all: setup ## every test; MNIST_MIRROR names a folder with the files, if there is no connection
	python -m pytest -q -m 'not network'

mnist: setup ## tests on the real files; MNIST_MIRROR names a folder with them, if there is no connection
	python -m pytest -q -n 2 --dist loadscope -m 'mnist and not dvc and not fault'

big: setup ## memory and speed of a set of 2 GB; needs 4.5 GB of disk, BIG_MB=200 less
	python -m benchmarks.big

browser: setup ## MLflow's pages and the report in Chromium
	python -m pytest -q -m browser

postgres: setup ## what needs a PostgreSQL server: Debian's, started for the tests alone (apt-get install postgresql)
	@command -v pg_virtualenv >/dev/null || { echo 'postgres: no pg_virtualenv here; apt-get install postgresql' >&2; exit 3; }
	pg_virtualenv -o fsync=off python -m pytest -q -m postgres

storm: setup ## 400 trials, 8 workers, 20 kills, five restarts of PostgreSQL; then the same on SQLite without restarts
	python -m tests.faults.storm
	python -m tests.faults.storm --sqlite

# An environment of its own: the launcher wants older versions of two packages than the pinned ones.
ray: ## Hydra's launcher for Ray on a Ray of this machine, in .venv-ray
	@$(MAKE) --no-print-directory VENV=.venv-ray EXTRAS=dev,ray CONSTRAINTS=.venv-ray/constraints.txt ray-test

ray-test: setup
	python -m pytest -q -p no:randomly tests/pipeline/test_ray.py

.venv-ray/constraints.txt: constraints.txt constraints-ray.txt
	@mkdir -p $(@D)
	@awk -F== '!seen[$$1]++' constraints-ray.txt constraints.txt > $@

deploy-check: setup ## deploy/: Kubernetes' schemas, and compose's own reader (apt-get install docker-compose)
	uvx --quiet kubernetes-validate@1.37.0 --strict deploy/kubernetes.yaml
	@command -v docker-compose >/dev/null || { echo 'deploy-check: no docker-compose here; apt-get install docker-compose' >&2; exit 3; }
	PGPASSWORD=unused docker-compose --file deploy/compose.yaml config --quiet

faults: setup ## kills, damage, full disks, outages, and the pipeline through DVC; minutes
	python -m pytest -q -n 2 --dist loadscope -m '(fault or dvc) and not network and not postgres and not long'

mutations: setup ## 500 damaged command lines for each command, 500 damaged files; N=100 and SEED=1 change that
	python -m tests.mutations.lines --n $(or $(N),500) --seed $(or $(SEED),0)
	python -m tests.mutations.files --n $(or $(N),500) --seed $(or $(SEED),0)

mutants: setup ## 30 changes of the library, each of which a test shall notice; N=100 and SEED=1 change that
	python -m tests.mutations.code --n $(or $(N),30) --seed $(or $(SEED),0)

screenshots: setup ## docs/images/*.png from a small run, or from FOLDER=<a folder with runs and a report>
	python -m tests.browser.screenshots $(FOLDER)

check: setup ## formatting, lint, types
	ruff format --check .
	ruff check .
	mypy

# Without --strict, packages that the advisory database does not answer for count as safe. The CVE: see SECURITY.md.
audit: setup ## known vulnerabilities of the tested versions; asks PyPI, or OSV with SERVICE=osv
	pip-audit --strict --no-deps --disable-pip --progress-spinner off --vulnerability-service $(or $(SERVICE),pypi) \
		--ignore-vuln CVE-2025-69872 --requirement constraints.txt

gradcheck: setup ## every gradient against central differences, in float64
	python -m pytest -q -k 'gradient or central_difference' tests/unit/nn tests/contracts

recipes: setup ## every published result again, three seeds each; writes docs/results.md
	python -m pipeline.recipes

sweep: setup ## train three activations, to compare in `make ui`
	python -m pipeline.train -m activation=sigmoid,tanh,relu

ui: setup ## MLflow's pages on http://127.0.0.1:5000
	@python -m mlpsweep.tracking.pages
	mlflow ui --host 127.0.0.1

bench: setup ## training speed beside scikit-learn, and PyTorch and JAX if installed
	python -m benchmarks.training

own-data: setup ## the pipeline on files in four formats, and its networks beside scikit-learn's
	python -m pytest -q tests/pipeline/test_own_pipeline.py
	python -m benchmarks.own_data

clean: ## remove what can be made again, except data, runs and studies
	rm -rf artifacts outputs multirun build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
