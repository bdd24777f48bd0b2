# make demo   the provider at work, in a real Airflow, against a simulated Alvys
# make test   all tests but those of MariaDB
# make test-mariadb   those of loading into MariaDB, which it gets from Debian's packages
# make chaos        syncs under faults and kills in an Airflow with daemons: 20 rounds, over half an hour
# make chaos-short  two of them, some five minutes
# make walks          long walks that wait for the rate limit, and that are killed
# make distributed    one of two Celery workers dies in the middle of a backfill
# make waiting        500 sensors in one triggerer, triggerers that are killed, watchers, timeouts: some six minutes
# make waiting-short  the same with one kill, and without Airflow's own sensors to compare with
# make bench  how fast it lands and loads, beside loops written by hand: some ten minutes
# make docs   write docs/streams.md, operations.md, schema.md, schema.svg and warehouses.md from the catalogue
# make ci     what .ci/run runs: lint, types, tests, the wheel, Airflow 3.1, the demo

PYTHON ?= python3
AIRFLOW = 3.3.2
OLDEST_AIRFLOW = 3.1.8
UV = .venv/bin/uv
UV_VERSION = 0.13.9
PY = .venv/bin/python
# Two processes, each with one file of tests at a time, those first that take longest.
TWO_AT_ONCE = --numprocesses 2 --dist loadfile --no-loadscope-reorder
SOURCES = airflow_provider_alvys tests dags_examples scripts bench

# Whatever the environment says, compiled modules are kept: without them each start of Airflow takes twice as long.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX = $(CURDIR)/.venv/bytecode

.PHONY: demo test test-mariadb test-oldest lint types wheel chaos chaos-short walks distributed waiting waiting-short bench docs ci prepare constraints clean

demo: .venv/.demo
	$(PY) -m scripts.demo

test: .venv/.tools
	$(PY) -m pytest -m "not mariadb" $(TWO_AT_ONCE)

test-mariadb: .venv/.mariadb
	$(PY) -m pytest -m mariadb

# The same package on the oldest Airflow: imports, provider info, one sync.
test-oldest: .venv-oldest/.ready
	.venv-oldest/bin/python -m pytest -m every_airflow $(TWO_AT_ONCE)

lint: .venv/.tools
	.venv/bin/ruff check $(SOURCES)
	.venv/bin/ruff format --check $(SOURCES)
	.venv/bin/lint-imports --no-logo

types: .venv/.tools
	.venv/bin/mypy

# Build the wheel, install it into an empty environment, and try it there.
wheel: .venv/.tools
	rm -rf dist .venv-wheel
	$(UV) build --quiet --wheel --out-dir dist
	$(UV) venv --quiet --python $(PY) .venv-wheel
	$(UV) pip install --quiet --python .venv-wheel/bin/python -c constraints/airflow-$(AIRFLOW).txt \
		dist/*.whl apache-airflow==$(AIRFLOW)
	.venv-wheel/bin/python -I scripts/try_wheel.py

chaos: .venv/.chaos
	$(PY) -m tests.chaos.chaos --markdown docs/reliability.md

chaos-short: .venv/.chaos
	$(PY) -m tests.chaos.chaos --short

walks: .venv/.chaos
	$(PY) -m tests.chaos.walks

distributed: .venv/.chaos
	$(PY) -m tests.chaos.distributed

waiting: .venv/.chaos
	$(PY) -m tests.chaos.waiting

waiting-short: .venv/.chaos
	$(PY) -m tests.chaos.waiting --short

bench: .venv/.runtime
	$(PY) bench/landing.py
	$(PY) bench/loading.py

docs: .venv/.tools
	$(PY) -m scripts.write_streams_page docs/streams.md
	$(PY) -m scripts.write_operations_page docs/operations.md
	$(PY) -m scripts.write_schema_page docs/schema.md
	$(PY) -m scripts.draw_schema docs/schema.svg
	$(PY) -m scripts.write_warehouses_page docs/warehouses.md
	$(PY) -m scripts.draw_architecture docs/architecture.md

ci: lint types test test-mariadb test-oldest wheel demo chaos-short walks waiting-short distributed

# All that the targets above need, so that several may run at once.
prepare: .venv/.tools .venv/.mariadb .venv/.demo .venv/.chaos .venv-oldest/.ready

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
	$(UV) pip install --quiet --python $(PY) -c constraints/airflow-$(AIRFLOW).txt -e '.[s3]' --group test --group lint
	touch $@

# As root, from Debian's packages; else they must be there.
.venv/.mariadb: .venv/.tools
	which mariadbd mariadb_config pkg-config >/dev/null || \
		{ apt-get update --quiet=2 && apt-get install --quiet=2 --yes mariadb-server libmariadb-dev pkg-config >/dev/null; }
	$(UV) pip install --quiet --python $(PY) -c constraints/airflow-$(AIRFLOW).txt --group mariadb
	touch $@

.venv/.chaos: .venv/.runtime
	$(UV) pip install --quiet --python $(PY) -c constraints/airflow-$(AIRFLOW).txt --group chaos
	touch $@

.venv-oldest/.ready: .venv/.uv pyproject.toml constraints/airflow-$(OLDEST_AIRFLOW).txt
	$(UV) venv --quiet --clear --python $(PY) .venv-oldest
	$(UV) pip install --quiet --python .venv-oldest/bin/python -c constraints/airflow-$(OLDEST_AIRFLOW).txt \
		-e . apache-airflow==$(OLDEST_AIRFLOW) --group test
	touch $@

# Resolve the pinned versions anew. An older Airflow cannot run with the packages of today.
constraints: .venv/.uv
	echo apache-airflow==$(AIRFLOW) > .venv/newest.in
	echo apache-airflow==$(OLDEST_AIRFLOW) > .venv/oldest.in
	$(UV) pip compile pyproject.toml .venv/newest.in --extra s3 --extra parquet --group test --group mariadb --group demo --group lint --group chaos --universal --python-version 3.10 \
		--no-header --no-annotate --quiet --upgrade -o constraints/airflow-$(AIRFLOW).txt
	$(UV) pip compile pyproject.toml .venv/oldest.in --extra s3 --extra parquet --group test --universal --python-version 3.10 \
		--no-header --no-annotate --quiet --upgrade --exclude-newer 2026-04-01 \
		--exclude-newer-package airflow-provider-inbound-webhooks=2026-11-01 -o constraints/airflow-$(OLDEST_AIRFLOW).txt

clean:
	rm -rf .venv .venv-oldest .venv-wheel .demo dist
