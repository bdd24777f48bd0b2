PYTHON ?= python3
AIRFLOW = 3.3.2
OLDEST_AIRFLOW = 3.1.8
MIDDLE_AIRFLOW = 3.2.2
UV = .venv/bin/uv
UV_VERSION = 0.13.9
PY = .venv/bin/python
# The environment of an Airflow, by its version.
environment_of = $(if $(filter $(AIRFLOW),$1),.venv,.venv-$1)
# `make ui-test AIRFLOWS="3.1.8 3.2.2"`
AIRFLOWS = $(AIRFLOW)
# Two processes; the one that has nothing left takes over half of what the other has still to do.
TWO_AT_ONCE = --numprocesses 2 --dist worksteal
# `make test COVERAGE=1`, or of the quick tests, prints the coverage of lines and branches, and takes half as long again.
COVERED = $(if $(COVERAGE),--cov=airflow_provider_alvys --cov-branch --cov-report=term:skip-covered)
# From Python 3.12 on the interpreter itself reports each line once, which costs next to nothing.
COVERED_LINES = --cov=airflow_provider_alvys --cov-report=term:skip-covered
SOURCES = airflow_provider_alvys tests dags_examples scripts bench docs/conf.py

# Whatever the environment says, compiled modules are kept: without them each start of Airflow takes twice as long.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX = $(CURDIR)/.venv/bytecode

.PHONY: help demo demo-ui test test-newest test-newest-quick test-quick test-large test-mariadb ui-test ui-test-all docs-pictures lint types build matrix matrix-short release-check release-contents chaos chaos-short chaos-limits distributed waiting waiting-short bench docs docs-site docs-serve ci prepare constraints clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: .venv/.demo  ## Run the provider in a real Airflow against a simulated Alvys (two minutes)
	$(PY) -m scripts.demo

# DEMO_FOLDER is the folder of the demo for both targets, DEMO_PORT another port.
demo-ui: .venv/.demo  ## Show the runs of the demo in Airflow's UI, with the status page, until Ctrl-C
	@exec $(PY) -m scripts.demo_ui $(if $(DEMO_PORT),--port $(DEMO_PORT))

test: .venv/.tools  ## Run all tests except those that need MariaDB or a browser
	$(PY) -m pytest -m "not mariadb and not ui and not large" $(TWO_AT_ONCE) $(COVERED)

test-newest: .venv-newest/.ready  ## Run them on the newest Python of this machine, and print the coverage of lines
	COVERAGE_CORE=sysmon .venv-newest/bin/python -m pytest -m "not mariadb and not ui and not large" $(TWO_AT_ONCE) $(COVERED_LINES)

test-newest-quick: .venv-newest/.ready  ## Run those of them that are not marked slow (three minutes)
	COVERAGE_CORE=sysmon .venv-newest/bin/python -m pytest -m "not mariadb and not slow and not ui and not large" $(TWO_AT_ONCE) $(COVERED_LINES)

test-quick: .venv/.tools  ## Run the tests not marked slow (three minutes)
	$(PY) -m pytest -m "not mariadb and not slow and not ui and not large" $(TWO_AT_ONCE) $(COVERED)

test-large: .venv/.tools  ## Check that large companies add up, and that checks find every hole in them (an hour)
	$(PY) -m pytest -m large

test-mariadb: .venv/.mariadb  ## Run the tests that load into MariaDB, which comes from Debian's packages
	$(PY) -m pytest -m mariadb

ui-test: .venv/.ui $(foreach version,$(AIRFLOWS),$(call environment_of,$(version))/.ready)  ## Drive a browser through a whole Airflow
	$(foreach version,$(AIRFLOWS),UI_TEST_PYTHON=$(call environment_of,$(version))/bin/python $(PY) -m pytest -m ui tests/ui &&) true

ui-test-all:  ## Run the same on three minor versions of Airflow
	$(MAKE) ui-test AIRFLOWS="$(OLDEST_AIRFLOW) $(MIDDLE_AIRFLOW) $(AIRFLOW)"

docs-pictures: .venv/.ui  ## Take the pictures of docs/pictures in that browser
	UI_TEST_PICTURES=docs/pictures UI_TEST_LAKE=/tmp/alvys $(PY) -m pytest -m ui tests/ui

lint: .venv/.tools  ## Check style, formatting and the layers of the package
	.venv/bin/ruff check $(SOURCES)
	.venv/bin/ruff format --check $(SOURCES)
	.venv/bin/lint-imports --no-logo

types: .venv/.tools .venv/.release  ## Check types with mypy --strict
	.venv/bin/mypy

# From the commit's time, so that the files are the same wherever they are built.
build: .venv/.uv  ## Build the sdist, and the wheel from it, into dist/
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(UV) build --quiet --clear \
		--build-constraint constraints/airflow-$(AIRFLOW).txt --out-dir dist

matrix: build  ## Test the wheel with each minor version of Airflow, its oldest and its newest Python (half an hour)
	$(PY) -m scripts.matrix dist/*.whl $(if $(ONLY_AIRFLOW),--airflow $(ONLY_AIRFLOW)) $(if $(ONLY_PYTHON),--python $(ONLY_PYTHON))

matrix-short: build  ## Test the wheel with the oldest Airflow, and try it with the newest (2 minutes)
	$(PY) -m scripts.matrix dist/*.whl --short

release-contents: build .venv/.release  ## Write the list of the files that the wheel may have
	$(PY) -m scripts.check_release dist --write-contents

release-check: build .venv/.release  ## Check what is published: version, metadata, contents, licences, workflows
	$(PY) -m scripts.check_release dist $(if $(TAG),--tag $(TAG)) $(if $(AUDIT),--audit $(AUDIT))

chaos: .venv/.chaos  ## Run syncs under faults and kills: 20 rounds (40 minutes); writes docs/reliability.md
	$(PY) -m tests.chaos.syncs --markdown docs/reliability.md

chaos-short: .venv/.chaos  ## Run two of these rounds (5 minutes)
	$(PY) -m tests.chaos.syncs --short

chaos-limits: .venv/.chaos  ## Run long reads that wait for the rate limit, and reads that are killed
	$(PY) -m tests.chaos.limits

distributed: .venv/.chaos  ## Kill one of two Celery workers in the middle of a backfill
	$(PY) -m tests.chaos.distributed

waiting: .venv/.chaos  ## Run 500 sensors and watchers, kill their triggerer, test timeouts (6 minutes)
	$(PY) -m tests.chaos.waiting

waiting-short: .venv/.chaos  ## Run the same with one kill, and without Airflow's own sensors to compare with
	$(PY) -m tests.chaos.waiting --short

bench: .venv/.runtime  ## Measure landing and loading next to hand-written loops (10 minutes)
	$(PY) bench/landing.py
	$(PY) bench/loading.py

docs: .venv/.tools  ## Write the generated pages of docs/
	$(PY) -m scripts.write_streams_page docs/reference/streams.md
	$(PY) -m scripts.write_operations_page docs/reference/operations.md
	$(PY) -m scripts.write_schema_page docs/reference/schema.md
	$(PY) -m scripts.draw_schema docs/reference/schema.svg
	$(PY) -m scripts.write_warehouses_page docs/reference/warehouses.md
	$(PY) -m scripts.write_reference_page docs/reference/operators.md
	$(PY) -m scripts.write_reference_page docs/reference/sensors.md
	$(PY) -m scripts.write_reference_page docs/reference/triggers.md
	$(PY) -m scripts.write_reference_page docs/reference/task-groups.md
	$(PY) -m scripts.write_reference_page docs/reference/hook.md
	$(PY) -m scripts.write_reference_page docs/reference/connection.md
	$(PY) -m scripts.write_reference_page docs/reference/cli.md
	$(PY) -m scripts.write_reference_page docs/reference/fields.md
	$(PY) -m scripts.write_troubleshooting_page docs/troubleshooting.md
	$(PY) -m scripts.runbook.write docs/runbook.md
	$(PY) -m scripts.runbook.write docs/trust.md
	$(PY) -m scripts.draw_architecture docs/architecture.svg

docs-site: .venv/.tools  ## Build the site of the docs into .site; a warning or a broken link fails
	rm -rf .site
	AIRFLOW_HOME=$(CURDIR)/.venv/airflow $(PY) -m sphinx --quiet --fail-on-warning --keep-going --fresh-env \
		--doctree-dir .venv/doctrees docs .site
	$(PY) -m scripts.check_site .site

docs-serve: docs-site  ## Build the site and serve it on port 8000
	$(PY) -m http.server --bind 127.0.0.1 --directory .site 8000

ci: lint types test test-newest-quick docs-site release-check matrix-short test-mariadb demo ui-test chaos-short chaos-limits distributed waiting-short  ## Run everything that .ci/run runs, one after the other

prepare: .venv/.tools .venv-newest/.ready .venv/.mariadb .venv/.demo .venv/.chaos .venv/.release .venv/.ui  ## Install everything the other targets need

.venv/.uv:
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	touch $@

.venv/.runtime: .venv/.uv pyproject.toml constraints/airflow-$(AIRFLOW).txt
	$(UV) pip install --quiet --python $(PY) -c constraints/airflow-$(AIRFLOW).txt -e . apache-airflow==$(AIRFLOW)
	touch $@

.venv/.demo: .venv/.runtime
	$(UV) pip install --quiet --python $(PY) -c constraints/airflow-$(AIRFLOW).txt --group demo
	touch $@

.venv/.tools: .venv/.runtime
	$(UV) pip install --quiet --python $(PY) -c constraints/airflow-$(AIRFLOW).txt -e '.[s3]' --group test --group lint --group docs
	touch $@

# As root, from Debian's packages; else they must be there.
.venv/.mariadb: .venv/.tools
	which mariadbd mariadb_config pkg-config >/dev/null || \
		{ apt-get update --quiet=2 && apt-get install --quiet=2 --yes mariadb-server libmariadb-dev pkg-config >/dev/null; }
	$(UV) pip install --quiet --python $(PY) -c constraints/airflow-$(AIRFLOW).txt --group mariadb
	touch $@

# As root, from Debian's packages; else it must be there.
.venv/.ui: .venv/.tools
	which chromium >/dev/null || { apt-get update --quiet=2 && \
		apt-get install --quiet=2 --yes --no-install-recommends chromium fonts-dejavu-core >/dev/null; }
	$(UV) pip install --quiet --python $(PY) -c constraints/airflow-$(AIRFLOW).txt --group ui
	touch $@

.venv/.ready: .venv/.tools
	touch $@

.venv-newest/.ready: .venv/.uv pyproject.toml constraints/airflow-$(AIRFLOW).txt
	$(UV) venv --quiet --clear --python $$($(PY) -m scripts.matrix --newest-python) .venv-newest
	$(UV) pip install --quiet --python .venv-newest/bin/python -c constraints/airflow-$(AIRFLOW).txt \
		-e '.[s3]' apache-airflow==$(AIRFLOW) --group test --group lint --group docs
	touch $@

.venv-%/.ready: .venv/.uv pyproject.toml constraints/airflow-%.txt
	$(UV) venv --quiet --clear --python $(PY) .venv-$*
	$(UV) pip install --quiet --python .venv-$*/bin/python -c constraints/airflow-$*.txt \
		-e . apache-airflow==$* --group test --group demo
	touch $@

.venv/.chaos: .venv/.runtime
	$(UV) pip install --quiet --python $(PY) -c constraints/airflow-$(AIRFLOW).txt --group chaos
	touch $@

.venv/.release: .venv/.runtime
	$(UV) pip install --quiet --python $(PY) -c constraints/airflow-$(AIRFLOW).txt --group release
	touch $@

# An older Airflow cannot run with the packages of today, hence --exclude-newer.
constraints: .venv/.uv  ## Resolve the pinned versions again
	echo apache-airflow==$(AIRFLOW) > .venv/newest.in
	echo apache-airflow==$(OLDEST_AIRFLOW) > .venv/oldest.in
	echo apache-airflow==$(MIDDLE_AIRFLOW) > .venv/middle.in
	$(UV) pip compile pyproject.toml .venv/newest.in --extra s3 --extra parquet --group test --group mariadb --group demo --group lint --group chaos --group docs --group release --group ui --universal --python-version 3.10 \
		--no-header --no-annotate --quiet --upgrade -o constraints/airflow-$(AIRFLOW).txt
	$(UV) pip compile pyproject.toml .venv/oldest.in --extra s3 --extra parquet --group test --group demo --universal --python-version 3.10 \
		--no-header --no-annotate --quiet --upgrade --exclude-newer 2026-04-01 \
		--exclude-newer-package airflow-provider-inbound-webhooks=2026-11-01 -o constraints/airflow-$(OLDEST_AIRFLOW).txt
	$(UV) pip compile pyproject.toml .venv/middle.in --extra s3 --extra parquet --group test --group demo --universal --python-version 3.10 \
		--no-header --no-annotate --quiet --upgrade --exclude-newer 2026-06-15 \
		--exclude-newer-package airflow-provider-inbound-webhooks=2026-11-01 -o constraints/airflow-$(MIDDLE_AIRFLOW).txt

clean:  ## Remove environments and build results
	rm -rf .venv .venv-* .demo .site dist
