# make demo: install, make a virtual patient, find its infarct.   make check: style and types, about a minute.
# make test: install, tests in JOBS=2 processes.
# make coverage: the tests, and which lines they do not reach.   make docs: the documentation site.
# make lowest: tests with the oldest versions that pyproject.toml allows, in .venv-lowest.
# make viewer: build adn serve's image viewer with Node.js; wheels from PyPI already include it.
# For a smaller, CPU-only PyTorch: make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu

PYTHON ?= python3
TORCH_INDEX ?=
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
LOWEST := .venv-lowest
LOWEST_TESTS := tests/space tests/findings tests/io/test_nifti.py tests/io/test_itk.py tests/io/test_weights.py \
	tests/io/test_dicom.py tests/prepare/test_strip.py tests/nn/test_adn.py tests/prediction/test_pipeline.py \
	tests/training/test_fit.py tests/figures/test_figures.py tests/report/test_files.py tests/report/test_html.py \
	tests/report/test_dicom_seg.py tests/test_config.py tests/test_recipes.py tests/cli/test_app.py

# Make the pins apply in pip's isolated builds, too: older pip reads the first variable, newer pip the second.
export PIP_CONSTRAINT := constraints.txt
export PIP_BUILD_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

TORCH := $(shell grep '^torch==' constraints.txt)
INSTALL_TORCH := install -c constraints.txt $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)

.PHONY: demo viewer test lowest coverage check check-wheel docs clean

demo: $(VENV)/.installed
	rm -rf demo
	$(BIN)/adn synth -n 1 --seed 1 -o demo/patient
	$(BIN)/adn predict demo/patient/*/ct.nii.gz -o demo/out
	@echo "The report, to open in a browser: $$(ls "$(CURDIR)"/demo/out/*/report.html)"

viewer:
	@command -v npm >/dev/null || { echo "make viewer needs Node.js 18 or newer with npm (Debian: apt install npm)." >&2; exit 2; }
	npm --prefix web ci --no-audit --no-fund
	npm --prefix web run build

# Two processes; each test file stays within one. One thread each: more would only wait for each other. Bytecode is
# kept; otherwise every program that a test starts would compile adn again.
test: $(VENV)/.installed-dev
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

# The tests that depend on libraries' interfaces: files and DICOM, geometry, networks, pictures, report, command line.
# Warnings from old libraries are not our faults.
lowest:
	test -x $(LOWEST)/bin/python || $(PYTHON) -m venv $(LOWEST)
	$(PYTHON) tools/lowest.py > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip $(INSTALL_TORCH)
	PIP_CONSTRAINT=$(LOWEST)/constraints.txt $(LOWEST)/bin/python -m pip install -e . pytest hypothesis beartype
	PYTHONPATH=tests OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest -p no:cacheprovider -o filterwarnings=ignore \
		$(LOWEST_TESTS) $(ARGS)

coverage: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --cov=adn --cov-report=term:skip-covered $(ARGS)

check: $(VENV)/.installed-dev
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --threads 2
	$(BIN)/python -m pytest tests/test_contract_floors.py tests/test_contract_budgets.py tests/test_contract_version.py

# Build the sdist and the wheel from it, check that both contain the viewer, install the wheel into an empty venv, and
# run the main job outside the checkout.
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

# Build the documentation site into build/docs; offline, and with warnings as errors.
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
