# make train   the main job: Learn-to-Teach on HalfCheetah, into runs/ (ARGS="env=hopper seed=1" changes it)
# make demonstrations   trains an expert where there is none, and records ten of its episodes (TASK=half_cheetah)
# make cassie  a film of the trained Cassie, and where there is a display the robot itself (ARGS="--role teacher")
# make notebooks   runs all notebooks as a reader would (ARGS=--small every cell on a small run)
# make test    everything a change must keep true
# make bench   speed, beside Stable-Baselines3 in a virtual environment of its own (.venv-bench)
# make lint    formatting, lints, types, import rules
# Each creates .venv when it is missing and installs only what changed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: train cassie demonstrations notebooks test bench test-slow test-gpu lint format constraints clean

train: $(VENV)/.installed
	$(BIN)/python scripts/train.py $(ARGS)

TASK ?= hopper
EXPERT := runs/expert-$(TASK)

demonstrations: $(VENV)/.installed
	grep -qs '"status": "finished"' $(EXPERT)/result.json || \
		$(BIN)/python scripts/train.py algorithm=spmd env=$(TASK) run_dir=$(EXPERT) video=false
	$(BIN)/python scripts/collect.py run=$(EXPERT) name=$(TASK)-expert $(ARGS)

cassie: $(VENV)/.installed
	$(BIN)/python scripts/render.py zoo/cassie_student --role student --seconds 10 --out cassie.mp4 $(ARGS)
	@if [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ]; then $(BIN)/python scripts/watch.py zoo/cassie_student --role student; fi

notebooks: $(VENV)/.installed
	$(BIN)/python scripts/notebooks.py $(ARGS)

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

bench: $(VENV)/.installed .venv-bench/.installed
	$(BIN)/python scripts/benchmark.py --sb3-python .venv-bench/bin/python $(ARGS)

# An environment of its own: Stable-Baselines3 brings PyTorch, whose usual build for Linux brings CUDA, some gigabytes.
.venv-bench/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet 'stable-baselines3>=2.7' 'gymnasium[mujoco]' 'mujoco==3.17.0'
	@touch $@

test-slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m slow $(ARGS)

# Needs an NVIDIA GPU and `pip install -e '.[cuda,warp]'` in .venv.
test-gpu: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m gpu $(ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# Rewrites constraints.txt from the newest releases that the ranges in pyproject.toml allow.
constraints:
	rm -rf .venv-constraints
	$(PYTHON) -m venv .venv-constraints
	.venv-constraints/bin/python -m pip install --quiet -e '.[dev]'
	.venv-constraints/bin/python -m pip freeze --exclude-editable | grep -E '^[A-Za-z0-9._-]+==' > constraints.txt
	rm -rf .venv-constraints

clean:
	rm -rf $(VENV) .venv-bench build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "l2t needs Python 3.11 or newer; name one with make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e .
	@touch $@

# The development tools are installed on top; that also counts as the base install.
$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e '.[dev]'
	@touch $(VENV)/.installed $@
