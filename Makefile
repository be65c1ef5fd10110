# What a person types; every target says what it does in `make help`. GNU make 3.81 or later.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo year test check up loadtest bench dashboards lock clean

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
LOCKED := $(VENV)/.locked
CANDIDATES := $(if $(PYTHON),$(PYTHON),python3 python3.13 python3.12 python3.11)
PIP := PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 $(BIN)/python -m pip
UV ?= uv
# OpenMP's threads wait for one another by turning round: on a busy machine training took 30 times as long
export OMP_WAIT_POLICY ?= PASSIVE
COMPILE := $(UV) pip compile --quiet pyproject.toml --extra demo --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-annotate --no-header

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo 'PYTHON=python3.12 names the Python (3.11-3.13) that $(VENV) is made with.'

demo: $(INSTALLED) ## the main job on 2013's flights; REQUESTS=10000 RATE=500 REPORT=report.json change it
	@$(BIN)/rendezvous demo$(if $(REQUESTS), --requests $(REQUESTS))$(if $(RATE), --rate $(RATE))$(if $(REPORT), --report $(REPORT))

year: $(INSTALLED) ## 2013 in order, compressed in time, with the retraining loop on; REPORT=report.json
	@$(BIN)/rendezvous demo --year$(if $(REPORT), --report $(REPORT))

test: $(INSTALLED) ## every test, those against a real Kafka included; ARGS="tests/unit -x" goes to pytest
	@$(BIN)/python -m pytest $(ARGS)

check: $(INSTALLED) ## formatting, lint and types, tests included
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

up: $(INSTALLED) ## Kafka, Redis and the services of ENDPOINT=flights, until Ctrl-C
	@$(BIN)/rendezvous up --endpoint $(or $(ENDPOINT),flights)

loadtest: $(INSTALLED) ## SCENARIO=all for the report, or one of loadtest/README.md; RATE=800 MODELS=5 PARTITIONS=1 SECONDS=10 PAYLOAD=0 MODE=default RECORDS=100000 REPORT=folder
	@$(BIN)/python -m loadtest $(or $(SCENARIO),steady)$(if $(RATE), --rate $(RATE))$(if $(MODELS), --models $(MODELS))$(if $(PARTITIONS), --partitions $(PARTITIONS))$(if $(SECONDS), --seconds $(SECONDS))$(if $(PAYLOAD), --payload $(PAYLOAD))$(if $(BATCH), --batch $(BATCH))$(if $(MODE), --mode $(MODE))$(if $(RECORDS), --records $(RECORDS))$(if $(REPORT), --report $(REPORT))

bench: $(INSTALLED) ## what the pure core costs, function by function; ARGS=--benchmark-autosave keeps it, ARGS=--benchmark-compare holds it against that
	@$(BIN)/python -m pytest loadtest/benchmarks -q -o python_files='bench_*.py' -o python_functions='bench_*' --benchmark-only --benchmark-columns=min,median,iqr,rounds --benchmark-sort=fullname $(ARGS)

dashboards: $(INSTALLED) ## Grafana's dashboards from their code: services/grafana/dashboards/*.json
	@cd services && ../$(BIN)/python -m grafana

lock: ## both lock files from pyproject.toml, with uv (UV=path/to/uv); keeps versions that still fit
	@command -v $(UV) > /dev/null || { echo 'make lock needs uv: python3 -m pip install uv, or UV=path/to/uv' >&2; exit 1; }
	@$(COMPILE) --output-file services/requirements.lock
	@$(COMPILE) --group dev --constraint services/requirements.lock --output-file tests/requirements.lock

clean: ## removes .venv, caches, .local, loadtest/report, the trained models and their versions
	@rm -rf $(VENV) .local .hypothesis .mypy_cache .pytest_cache .ruff_cache dist loadtest/report
	@rm -f models/*/*/model.onnx models/*/*/card.json models/*/*/reference.json models/*/*/*.part
	@rm -rf models/*/*/versions
	@find services tests models loadtest -name __pycache__ -type d -prune -exec rm -rf {} +

# The lock's packages: made anew whenever the lock changes, so that nothing lingers that it no longer names.
# `make` sees a pipe's last command only, hence the word `failed` in it.
$(LOCKED): tests/requirements.lock
	@python=; found=; \
	for candidate in $(CANDIDATES); do \
	  version=$$("$$candidate" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2> /dev/null) || continue; \
	  case $$version in \
	    3.11.*|3.12.*|3.13.*) python=$$candidate; break;; \
	    *) found="$$found $$candidate is $$version;";; \
	  esac; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "make: no Python 3.11, 3.12 or 3.13 among '$(CANDIDATES)':$${found:- none of them runs}" >&2; \
	  echo 'Install one (Debian: apt-get install python3 python3-venv; macOS: brew install python@3.13),' >&2; \
	  echo 'or name it: make PYTHON=/path/to/python3.13' >&2; \
	  exit 1; \
	fi; \
	echo "$(VENV): Python $$version ($$python)"; \
	if ! "$$python" -m venv --clear $(VENV); then \
	  echo "make: $$python cannot make a virtual environment (Debian: apt-get install python3-venv)" >&2; \
	  exit 1; \
	fi
	@echo '$(VENV): downloading what tests/requirements.lock names; a minute or two the first time'
	@{ $(PIP) install --progress-bar off --require-hashes -r tests/requirements.lock || echo failed; } | { \
	  count=0; \
	  while read -r word rest; do \
	    case $$word in \
	      Collecting) count=$$((count + 1)); [ $$((count % 10)) -ne 0 ] || echo "$(VENV): $$count packages";; \
	      Building) case $$rest in wheels*) echo "$(VENV): building from source: $${rest#*: }";; esac;; \
	      Installing) case $$rest in collected*) echo "$(VENV): installing them";; esac;; \
	      failed) exit 1;; \
	    esac; \
	  done; }
	@touch $@

$(INSTALLED): $(LOCKED) pyproject.toml
	@echo '$(VENV): installing rendezvous itself'
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
