# make run | test | check | bench | train TASK=... | screenshots; PYTHON names the interpreter for a new .venv
PYTHON ?= python3
TASK ?= skin_lesion
DATA ?= $(if $(WHYCAD_DATA),$(WHYCAD_DATA),../shared/data)
OUT ?= runs/$(TASK)
ADDRESS ?= 127.0.0.1
PORT ?= 8501

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
# The browser has the machine to itself; the rest is spread over its cores, file by file.
SPREAD = OMP_NUM_THREADS=1 $(BIN)/python -m pytest --ignore=tests/e2e --numprocesses=logical --maxprocesses=4 --dist=loadfile
URL := http://$(ADDRESS):$(PORT)

.PHONY: run test check bench train screenshots clean help

help:
	@sed -n '1s/^# //p' Makefile

run: .venv/.app
	@echo "WhyCAD starts at $(URL) (Ctrl+C stops it)"
	@$(BIN)/python -m streamlit run asgi.py --server.address $(ADDRESS) --server.port $(PORT) --server.headless true

test: .venv/.dev
	@set -e; bash scripts/ensure_pango.sh $(BIN)/python; chromium="$$(bash scripts/ensure_browser.sh $(BIN)/python)"; \
	export WHYCAD_CHROMIUM="$$chromium"; \
	$(if $(ARGS),$(BIN)/python -m pytest $(ARGS),$(BIN)/python -m pytest tests/e2e; $(SPREAD))

check: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/.dev
	$(BIN)/python -m benchmarks.run

train: .venv/.app
	$(BIN)/python -m whycad train --task $(TASK) --data $(DATA) --out $(OUT)

screenshots: .venv/.dev
	@set -e; chromium="$$(bash scripts/ensure_browser.sh $(BIN)/python)"; \
	WHYCAD_CHROMIUM="$$chromium" $(BIN)/python -m scripts.screenshots

clean:
	rm -rf .venv build

# Stamps: an install happens once per change of what it installs, so that the next start takes seconds.
.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "WhyCAD needs Python 3.11 or newer; '$(PYTHON)' is older or missing. Try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Making .venv"
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/.app: .venv/.made requirements.txt constraints.txt
	@echo "Installing requirements.txt (several minutes the first time)"
	@$(PIP) -r requirements.txt -c constraints.txt
	@touch $@

.venv/.dev: .venv/.app pyproject.toml
	@echo "Installing the test extras"
	@$(PIP) -e '.[dev]' -c constraints.txt
	@touch $@
