# Two commands do everything on a fresh machine: `make demo` and `make test`. Each sets up what is missing.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO := out/demo

.PHONY: help install demo screenshots test gpu check docs format clean

help:
	@echo "make demo     set up, then the whole story on slides made here; opens napari if there is a display"
	@echo "make screenshots  set up, then the pictures of docs/gallery, on slides made here"
	@echo "make test     set up, then every test and check"
	@echo "make install  set up only: system libraries where root may install them, and $(VENV)"
	@echo "make gpu      set up, then what only a CUDA device can show, in ten minutes"
	@echo "make check    the checks without the tests"
	@echo "make docs     the documentation as a site, in out/site"
	@echo "make format   let ruff format and mend"
	@echo "make clean    remove $(VENV) and everything that can be made again"

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt scripts/system-libraries.sh
	sh scripts/system-libraries.sh
	PYTHON="$(PYTHON)" sh scripts/install.sh "$(VENV)"
	touch $@

demo: $(STAMP)
	$(BIN)/sam-mil-engine demo --output $(DEMO)

screenshots: $(STAMP)
	$(BIN)/python scripts/screenshots.py --demo $(DEMO) --output docs/gallery

# One process of tests a core, each with one thread: small tensors gain nothing from more.
test: export OMP_NUM_THREADS = 1
test: $(STAMP) check
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

gpu: $(STAMP)
	$(BIN)/python benchmarks/gpu.py --output out/gpu.json

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python scripts/check_words.py
	$(MAKE) --jobs 2 types-linux types-win32 types-darwin docs

docs: export NO_MKDOCS_2_WARNING = 1
docs: $(STAMP)
	$(BIN)/mkdocs build --strict --quiet

# Each platform has its own cache: mypy throws away what it knows of another.
types-%: $(STAMP)
	$(BIN)/mypy --platform $* --cache-dir .mypy_cache/$*

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) out .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
