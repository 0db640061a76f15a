# Needs Python 3.11 or newer and make. Every target makes what it needs in .venv, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
EXAMPLE := examples/digits_mlp.py
DEMO := --budget 10 --without spectrum --without classify
STAMPS := $(VENV)/.stamps

.PHONY: demo test lint bench bench-curvature bench-minima campaign docs browser clean

$(STAMPS)/base: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "jensen needs Python 3.11 or newer"; exit 2; }
	@echo "Installing jensen into $(VENV) (torch is a few hundred MB; only the first time)"
	@# torch first and by its exact version, so that nothing else can ask for another build of it
	@$(PIP) install -c constraints.txt torch==2.13.0
	@$(PIP) install -c constraints.txt -e '.[report,examples]'
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/dev: $(STAMPS)/base
	@echo "Installing what the tests need"
	@$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@

$(STAMPS)/docs: $(STAMPS)/base
	@$(PIP) install -c constraints.txt -e '.[docs]'
	@touch $@

$(STAMPS)/bench: $(STAMPS)/base
	@$(PIP) install -c constraints.txt -e '.[bench]'
	@touch $@

$(STAMPS)/bench-curvature: $(STAMPS)/base
	@$(PIP) install -c constraints.txt -e '.[bench-curvature]'
	@touch $@

# Every question about a real network on one page; a question that finds no answer is named there, and is no failure here.
demo: $(STAMPS)/base
	@mkdir -p out
	@$(BIN)/jensen report $(EXAMPLE) $(DEMO) --save out/digits_mlp.jensen --report out/digits_mlp.html; \
	  code=$$?; test $$code -eq 0 -o $$code -eq 3
	@if test -f out/digits_mlp.jensen; then $(BIN)/jensen verify out/digits_mlp.jensen; fi
	@$(BIN)/jensen report examples/digits_convnet.py $(DEMO) --report out/digits_convnet.html > out/digits_convnet.txt; \
	  code=$$?; test $$code -eq 0 -o $$code -eq 3
	@echo "Open out/digits_mlp.html (and out/digits_convnet.html, the same of a small ConvNet) in a browser."

test: $(STAMPS)/dev browser
	@# one file to a worker: some files count the answers of their own tests; and one thread, for threads of several workers
	@# wait for each other on the same processors (with two, on two processors, the suite takes half as long again)
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

browser:
	@if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then :; \
	elif command -v apt-get >/dev/null && test "$$(id -u)" = 0; then \
	  echo "Installing chromium and chromium-driver for the browser tests"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium chromium-driver >/dev/null; \
	else echo "chromium or chromedriver is missing: the browser tests will be skipped (apt-get install chromium chromium-driver)"; fi

lint: $(STAMPS)/dev
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/pyright
	@$(BIN)/lint-imports
	@$(BIN)/python tools/budgets.py

bench: $(STAMPS)/bench
	@for f in $(filter-out benchmarks/curvature_% benchmarks/minima.py,$(wildcard benchmarks/[a-z]*.py)); do echo "$$f"; $(BIN)/python "$$f" || exit 1; done

# Products with the Hessian beside PyHessian, curvlinops and hessian-eigenthings, in gradients of the same cost; on a CUDA device
# too where there is one.
bench-curvature: $(STAMPS)/bench-curvature
	@$(BIN)/python benchmarks/curvature_products.py
	@$(BIN)/python benchmarks/curvature_spectrum.py
	@$(BIN)/python benchmarks/curvature_memory.py
	@$(BIN)/python benchmarks/curvature_gpu.py

# Adam steps of many copies at once beside the ordinary loop over copies.
bench-minima: $(STAMPS)/base
	@$(BIN)/python benchmarks/minima.py

# The long search for wrong answers: random claims attacked with exact chords, Hessians of many networks against
# independent derivatives, how often the bands of spectra cover the truth, planted copies of networks recovered, what the
# kernel proves of moves beside numbers, every engine against every law, censuses of known minima, one killed 50 times.
campaign: $(STAMPS)/dev
	@$(BIN)/python tools/campaign_attack.py
	@$(BIN)/python tools/campaign_unseen.py
	@$(BIN)/python tools/campaign_curvature.py
	@$(BIN)/python tools/campaign_spectrum.py
	@$(BIN)/python tools/campaign_equivalent.py
	@$(BIN)/python tools/campaign_symmetry.py
	@$(BIN)/python tools/campaign_representatives.py
	@$(BIN)/python tools/campaign_invariance.py
	@$(BIN)/python tools/campaign_minima.py
	@$(BIN)/python tools/campaign_landscapes.py
	@$(BIN)/python tools/campaign_engines.py
	@$(BIN)/python tools/campaign_census.py

docs: $(STAMPS)/docs
	@$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

clean:
	rm -rf $(VENV) out docs/_build
