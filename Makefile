# What a newcomer types; `make help` lists it. PORT, HOST, DATA_DIR, DATABASE_URL and SAMPLE come from the environment.
PYTHON ?= python3
BIN := .venv/bin
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url

.DEFAULT_GOAL := help
.PHONY: help run test coverage mutants torture lint openapi contract format bench sbom lock clean

help: ## list what can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: .venv/runtime ## the service with an embedded PostgreSQL, demo partners and a sample register
	@exec $(BIN)/python -m app.cli run

test: .venv/development ## the tests, on a PostgreSQL of their own; ARGS="tests/reviews -x" runs some, COVERAGE=1 measures
	$(if $(COVERAGE),$(BIN)/coverage run -m pytest,$(BIN)/pytest) -n auto $(ARGS)

coverage: .venv/development ## print the branch coverage of app/ that COVERAGE=1 measured
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# Change the pure rules in some 1,340 ways, one at a time; each mutant should fail a test. CONTRIBUTING.md has the known survivors.
mutants: .venv/development ## test the tests of the pure rules by mutation, which takes half an hour
	rm -rf mutants
	$(BIN)/mutmut run
	$(BIN)/mutmut results

# Kill API, workers and PostgreSQL at random under load, 200 times; KILLS and SEED are read from the environment.
torture: .venv/development ## kill its processes at random under load; KILLS and SEED
	$(BIN)/python -m tests.torture

lint: .venv/development contract ## format, style, types, import contracts, the OpenAPI document, the Dockerfile
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile

# Write the document that the service serves; `make contract` checks what is written.
openapi: .venv/development ## write openapi.json as the service serves it
	$(BIN)/python -m app.cli openapi > openapi.json

contract: contract/node_modules contract/python ## check openapi.json with Spectral
	contract/node_modules/.bin/spectral lint --ruleset contract/.spectral.yaml --fail-severity hint --quiet openapi.json

contract/node_modules: contract/package-lock.json
	cd contract && npm ci --no-progress --loglevel=error
	@touch $@

# The generator of the Python client, with packages of its own: it wants others than the service.
contract/python: contract/requirements.lock .venv/runtime
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps --upgrade --target $@ -r $<
	@touch $@

format: .venv/development ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Debian and Ubuntu have ensurepip, which venv needs, in a package of its own.
.venv/runtime: requirements.lock
	@$(PYTHON) -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "$(PYTHON) is missing, older than 3.11 or without venv. Debian and Ubuntu: sudo apt install python3-venv. README.md names what other systems need." >&2; exit 1; }
	@$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

.venv/development: .venv/runtime requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

lock: ## pin the dependencies of pyproject.toml anew, with hashes (needs uv)
	$(LOCK) pyproject.toml --output-file requirements.lock
	$(LOCK) pyproject.toml --group dev --constraint requirements.lock --output-file requirements-dev.lock

clean: ## delete what was installed and cached
	rm -rf .venv contract/node_modules contract/python .pytest_cache .mypy_cache .ruff_cache .hypothesis mutants .coverage*

# Licences are read from installed packages, so what requirements.lock pins is installed by itself.
sbom: .venv/development ## write sbom.json (CycloneDX) and licences.json, of requirements.lock alone
	$(BIN)/cyclonedx-py requirements requirements.lock --output-reproducible --output-file sbom.json
	$(PYTHON) -m venv --clear --without-pip .venv/released
	$(BIN)/pip --quiet --disable-pip-version-check --python .venv/released install --require-hashes -r requirements.lock
	$(BIN)/cyclonedx-py environment --output-reproducible --output-file licences.json .venv/released

bench: .venv/development ## measure, which takes an hour
	$(BIN)/python -m bench.register
	$(BIN)/python -m bench.uploads
	ROWS=1000000 ORDER=sorted DECIDE=0 $(BIN)/python -m bench.uploads
	$(BIN)/python -m bench.renewal
	$(BIN)/python -m bench.feed
	$(BIN)/python -m bench.requests
