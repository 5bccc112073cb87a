# The project's vocabulary, by hand and in CI alike:
#   make setup         .venv with all that is needed, the native core built in release mode
#   make demo          real multiprocessing programs, unmodified, on allcores
#   make test          all tests: Rust, Python, and CPython's own (a sample of spawn's and forkserver's)
#   make check         formatting, lints and types
#   make conformance   CPython's own tests, whole, for every start method; writes docs/conformance.md
#   make soak          random deaths for ten minutes, each crash row 200 times, and a death at every instruction that counts: hours
#   make bench         side by side with the standard library
#   make docs          the API's documentation, in build/docs
#   make clean         removes what the others made

PYTHON ?= python3
BIN := .venv/bin
# Atomics and sleepers are loom's, which goes through what threads and memory can do (src/models.rs).
LOOM := LOOM_MAX_PREEMPTIONS=2 RUSTFLAGS="--cfg loom"

.PHONY: setup demo test check conformance soak bench docs clean

setup: .venv/ready

.venv/ready: $(shell find src -name '*.rs') Cargo.toml Cargo.lock pyproject.toml requirements-dev.txt scripts/setup.sh
	PYTHON=$(PYTHON) scripts/setup.sh
	@touch $@

demo: setup
	$(BIN)/python examples/demo.py

test: setup
	cargo test --quiet
	$(LOOM) cargo test --quiet --lib --target-dir target/loom models
	$(BIN)/python -m pytest
	$(BIN)/python tests/soak.py --seconds 30 --rows 3
	$(BIN)/python tests/stdlib/conformance.py --methods fork,warm --jobs 2
	$(BIN)/python tests/stdlib/conformance.py --methods spawn,forkserver --sample --jobs 2

check: setup
	cargo fmt --check
	cargo clippy --quiet --all-targets -- -D warnings
	cargo clippy --quiet --all-targets --features python -- -D warnings
	$(LOOM) cargo clippy --quiet --lib --profile test --target-dir target/loom -- -D warnings
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/mypy --strict examples/*.py benchmarks/*.py tests/soak.py tests/lock_soak.py tests/channel_soak.py \
		tests/pipe_soak.py tests/pool_soak.py tests/shared_soak.py tests/shared_model.py tests/soak_books.py tests/soak_workers.py tests/stdlib/conformance.py tests/stepping.py \
		tests/stepped_operations.py tests/survivors.py tests/single_step.py

conformance: setup
	$(BIN)/python tests/stdlib/conformance.py --jobs 2 --docs

soak: setup
	$(BIN)/python tests/soak.py --seconds 600 --rows 200
	$(BIN)/python -m pytest --every-outcome tests/test_single_step.py
	EVERY_INSTRUCTION=1 cargo test --quiet -- crash nested

bench: setup
	$(BIN)/python benchmarks/import_time.py
	$(BIN)/python benchmarks/start.py
	$(BIN)/python benchmarks/start.py --big
	$(BIN)/python benchmarks/fresh.py
	$(BIN)/python benchmarks/idle.py
	$(BIN)/python benchmarks/locks.py
	$(BIN)/python benchmarks/queues.py
	$(BIN)/python benchmarks/pipes.py
	$(BIN)/python benchmarks/arrays.py
	$(BIN)/python benchmarks/manager.py
	$(BIN)/python benchmarks/pool.py
	$(BIN)/python benchmarks/pool_deaths.py

docs: setup
	$(BIN)/python -m pdoc --output-directory build/docs allcores '!allcores._core'
	@echo "build/docs/index.html"

clean:
	rm -rf .venv target build dist python/allcores/_core*.so .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv/*' -exec rm -rf {} +
