# make demo: install, make a virtual patient, find its infarct.   make check: seconds.
# make test: install, tests in JOBS=2 processes.
# make coverage: the tests, and what they do not reach.   make docs: the site.
# make viewer: the image viewer of adn serve, by Node.js; a wheel from PyPI holds it already.
# A CPU-only PyTorch, smaller: make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu

PYTHON ?= python3
TORCH_INDEX ?=
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin

# The pins also hold in pip's isolated builds: older pip reads the first name there, newer pip the second.
export PIP_CONSTRAINT := constraints.txt
export PIP_BUILD_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

TORCH := $(shell grep '^torch==' constraints.txt)
INSTALL_TORCH := install -c constraints.txt $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)

.PHONY: demo viewer test coverage check check-wheel docs clean

demo: $(VENV)/.installed
	rm -rf demo
	$(BIN)/adn synth -n 1 --seed 1 -o demo/patient
	$(BIN)/adn predict demo/patient/*/ct.nii.gz -o demo/out
	@echo "The report, to open in a browser: $$(ls "$(CURDIR)"/demo/out/*/report.html)"

viewer:
	@command -v npm >/dev/null || { echo "make viewer needs Node.js 18 or newer with npm (Debian: apt install npm)." >&2; exit 2; }
	npm --prefix web ci --no-audit --no-fund
	npm --prefix web run build

# Two processes, a test file in one of them. One thread each: more would only wait for each other.
test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

coverage: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --cov=adn --cov-report=term:skip-covered $(ARGS)

check: $(VENV)/.installed-dev
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/python -m pytest tests/test_contract_floors.py tests/test_contract_budgets.py tests/test_contract_version.py

# Build the sdist and from it the wheel, look for the viewer in both, install the wheel into an empty venv, and run the
# main job outside the checkout.
check-wheel: $(VENV)/.installed-dev
	@set -eu; folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	$(BIN)/python -m build --outdir "$$folder/dist" .; \
	for list in "tar -tzf $$folder/dist/*.tar.gz" "$(BIN)/python -m zipfile -l $$folder/dist/*.whl"; do \
		$$list | grep -q static/vendor/niivue.min.js || { echo "The viewer is missing: $$list" >&2; exit 1; }; \
		$$list | grep -q static/vendor/LICENSES.txt || { echo "Its licences are missing: $$list" >&2; exit 1; }; \
	done; \
	$(PYTHON) -m venv "$$folder/venv"; \
	"$$folder/venv/bin/python" -m pip $(INSTALL_TORCH); \
	"$$folder/venv/bin/python" -m pip install -c constraints.txt "$$folder"/dist/*.whl; \
	cd "$$folder"; \
	venv/bin/adn synth -n 1 --seed 1 -o patient; \
	venv/bin/adn predict patient/*/ct.nii.gz -o out; \
	test -s out/*/infarct.nii.gz; test -s out/*/report.html; \
	echo "The wheel works outside the checkout."

# The documentation site, into build/docs; offline, and a warning is an error.
docs: $(VENV)/.installed-dev
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs
	@echo "The first page: $(CURDIR)/build/docs/index.html"

clean:
	rm -rf demo build dist .pytest_cache .ruff_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "adn needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.11 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

# torch first, so that its index does not have to serve the rest.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip $(INSTALL_TORCH)
	$(BIN)/python -m pip install -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install -c constraints.txt -e '.[dev]'
	@touch $@
