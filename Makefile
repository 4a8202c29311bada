# On a machine with Python >= 3.10, git and make:  make demo   make test
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-all attack check bench reproduce clean

demo: $(VENV)/installed
	rm -rf runs/demo
	$(BIN)/nas-gym compare NB201-cifar10-v0 --agents random,rea,reinforce,ppo \
		--queries 500 --seeds 20 --out runs/demo

# without the tests marked as long
test: $(VENV)/installed
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not long"

# with them, but without those of `make attack`
test-all: $(VENV)/installed
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not attack"

# kills of running commands, damaged and malicious files, concurrent writers
attack: $(VENV)/installed
	$(BIN)/python -m pytest -n auto --dist loadfile -m attack

check: $(VENV)/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/nas-gym bench

# every study behind docs/results/*.md; continues where it was interrupted
# on a Ray cluster: make reproduce RAY=auto
reproduce: $(VENV)/installed
	$(BIN)/python scripts/reproduce.py $(if $(RAY),--ray $(RAY))

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --config-settings editable_mode=compat \
		--editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) runs build *.egg-info
