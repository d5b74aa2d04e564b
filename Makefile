# What a newcomer types. PORT, HOST, DATA_DIR, DATABASE_URL and SAMPLE are read from the environment.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test torture lint openapi contract format bench sbom clean

run: .venv/runtime
	@exec $(BIN)/python -m app.cli run

test: .venv/development
	$(BIN)/pytest -n auto $(ARGS)

# Kill API, workers and PostgreSQL at random under load, 200 times; KILLS and SEED are read from the environment.
torture: .venv/development
	$(BIN)/python -m tests.torture

lint: .venv/development contract
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile

# Write the document that the service serves; `make contract` checks what is written.
openapi: .venv/development
	$(BIN)/python -m app.cli openapi > openapi.json

contract: contract/node_modules contract/python
	contract/node_modules/.bin/spectral lint --ruleset contract/.spectral.yaml --fail-severity hint --quiet openapi.json

contract/node_modules: contract/package-lock.json
	cd contract && npm ci --no-progress --loglevel=error
	@touch $@

# The generator of the Python client, with packages of its own: it wants others than the service.
contract/python: contract/requirements.lock .venv/runtime
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps --upgrade --target $@ -r $<
	@touch $@

format: .venv/development
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.venv/runtime: requirements.lock
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

.venv/development: .venv/runtime requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

clean:
	rm -rf .venv contract/node_modules contract/python .pytest_cache .mypy_cache .ruff_cache .hypothesis

sbom: .venv/development
	$(BIN)/cyclonedx-py requirements requirements.lock --output-reproducible --output-file sbom.json

bench: .venv/development
	$(BIN)/python -m bench.register
	$(BIN)/python -m bench.uploads
	ROWS=1000000 ORDER=sorted DECIDE=0 $(BIN)/python -m bench.uploads
	$(BIN)/python -m bench.feed
	$(BIN)/python -m bench.requests
