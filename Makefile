# On a machine with Python >= 3.10, git and make:  make demo   make test
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check bench clean

demo: $(VENV)/installed
	rm -rf runs/demo
	$(BIN)/python scripts/demo.py --out runs/demo

test: $(VENV)/installed
	$(BIN)/python -m pytest -n auto

check: $(VENV)/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/nas-gym bench

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --config-settings editable_mode=compat \
		--editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) runs build *.egg-info
