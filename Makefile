# `make` lists the targets. Everything below needs Python 3.11 or newer and nothing else.

.DEFAULT_GOAL := help
.PHONY: help run test test-slow test-long conformance lint lint-more chaos chaos-short bench profile \
	bench-wallet bench-rebuild drain-test fairness deploy-check edge-test page-check lighthouse pictures messages backup-test first-day-test nodes-stack-test pooler-test pooler-stack-test upgrade-test mutations races format lock clean venv

# Nothing here may depend on the user's own Python settings.
unexport PYTHONHOME PYTHONPATH VIRTUAL_ENV

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	if "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
	then echo "$$p"; break; fi; done)
VENV_PYTHON := .venv/bin/python
COMPILE := $(VENV_PYTHON) -m uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-strip-extras --no-annotate --no-header --no-emit-index-url --no-emit-find-links

CHAOS = $(if $(CHAOS_MINUTES),--minutes $(CHAOS_MINUTES)) $(if $(CHAOS_SEED),--seed $(CHAOS_SEED)) $(if $(CHAOS_NODES),--nodes $(CHAOS_NODES)) $(if $(CHAOS_POOLER),--pooler) $(if $(CHAOS_FAILOVER),--failover)

export PORT HOST

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

venv: ## set up .venv, if it is not what the requirements say
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer found (looked for python3," \
		"python3.13, python3.12, python3.11)" >&2; exit 1; }
	@"$(PYTHON)" -m devstack.bootstrap

run: venv ## run everything on http://127.0.0.1:8000 (PORT=… and HOST=… change it)
	@exec $(VENV_PYTHON) -m devstack --with-parent run

test: venv ## run every check and every test
	@exec $(VENV_PYTHON) -m devstack --with-parent test

test-slow: venv ## test the emulators, the launcher, all columns of money, every page on every screen
	@exec $(VENV_PYTHON) -m devstack --with-parent test-slow

test-long: venv ## let the wallet's state machine run for hours (MACHINE_EXAMPLES=20000)
	MACHINE_EXAMPLES=$${MACHINE_EXAMPLES:-20000} $(VENV_PYTHON) -m pytest \
		tests/billing/wallet/test_machine.py -n 2 --show-capture=no

bench: venv ## what a request costs here and in other gateways (BENCH_QUICK=1: here, in 2 minutes)
	@$(VENV_PYTHON) -m bench.table --with-parent

profile: venv ## where a request's and a chunk's time goes, by module (RUNS='json-1k streams')
	@$(VENV_PYTHON) -m bench.profile --with-parent $(RUNS)

bench-wallet: venv ## measure holds, settlements, the drain and the recovery
	@$(VENV_PYTHON) -m bench.wallet

bench-rebuild: venv ## measure the rebuild after a loss of Redis (WALLETS='100000 1000000')
	@$(VENV_PYTHON) -m bench.rebuild

mutations: venv ## break the wallet's guards one by one; a test must fail each time
	@$(VENV_PYTHON) -m bench.mutations

races: venv ## let requests compete over HTTP, 20 seeds of each race (RACE_SEEDS=…)
	RACE_SEEDS=$${RACE_SEEDS:-20} $(VENV_PYTHON) -m pytest tests/stack/test_races.py -n0

conformance: venv ## run other people's clients and tests against the API (SUITES='node llm')
	@exec $(VENV_PYTHON) -m tests.conformance $(SUITES)

lint: venv ## check style, types and imports, without the tests
	@exec $(VENV_PYTHON) -m devstack --with-parent lint

lint-more: venv ## check Lua, style sheets and JavaScript, with linters that it installs
	@exec $(VENV_PYTHON) -m devstack.lint_more

deploy-check: venv ## check deploy/ against the schemas of Kubernetes, Compose and systemd
	@exec $(VENV_PYTHON) -m devstack.deploy_check

page-check: venv ## look at every page with axe, in light and in dark (installs it from npm)
	@exec $(VENV_PYTHON) -m pytest tests/quality/test_axe.py -n0

pictures: venv ## make the landing page's pictures anew, from a shop of their own
	@exec $(VENV_PYTHON) -m pytest tests/browser/landing_pictures.py -n0

lighthouse: venv ## Lighthouse on landing, models, docs and dashboard (LIGHTHOUSE_RUNS=5)
	@exec $(VENV_PYTHON) -m pytest tests/quality/test_lighthouse.py -n0 -s

edge-test: venv ## attack the product through nginx and HAProxy (needs Debian's nginx, haproxy)
	@exec $(VENV_PYTHON) -m pytest tests/edge -n0 -m stack -s

backup-test: venv ## back up under load, restore elsewhere, rebuild and audit
	@exec $(VENV_PYTHON) -m pytest tests/billing/upkeep/test_dumps.py -n0

first-day-test: venv ## run the first day of docs/operations.md on a machine with nothing on it (as root)
	@exec $(VENV_PYTHON) -m tests.first_day

pooler-test: venv ## test books and rebuilds through PgBouncer (installs Debian's pgbouncer)
	@exec $(VENV_PYTHON) -m devstack.pooler

pooler-stack-test: venv ## test the whole product under load through PgBouncer
	@exec $(VENV_PYTHON) -m devstack.pooler --stack

nodes-stack-test: venv ## test the whole product under load with the wallets on three servers of Redis
	STACK_NODES=3 $(VENV_PYTHON) -m pytest -n0 -m stack tests/stack/test_money_under_load.py tests/stack/test_overdraw.py

chaos: venv ## kill what runs, for minutes, and audit (CHAOS_MINUTES=…, CHAOS_SEED=…, CHAOS_NODES=…, CHAOS_POOLER=1, CHAOS_FAILOVER=1)
	@exec $(VENV_PYTHON) -m bench.chaos --with-parent $(CHAOS)

chaos-short: venv ## the same in less than a minute (CHAOS_SEED=…, CHAOS_NODES=…, CHAOS_POOLER=1, CHAOS_FAILOVER=1)
	@exec $(VENV_PYTHON) -m bench.chaos --with-parent --short $(CHAOS)

fairness: venv ## one client's short chats beside each kind of hostile one (NAMES='deep wide')
	@$(VENV_PYTHON) -m bench.fairness $(NAMES)

drain-test: venv ## stop a web process under 50 streams: all must end and be charged exactly
	@$(VENV_PYTHON) -m bench.drain

upgrade-test: venv ## roll from one version to another, ten times, under streams (OLD=commit)
	@exec $(VENV_PYTHON) -m bench.upgrade $(if $(OLD),--old $(OLD))

format: venv ## put code and templates in shape
	$(VENV_PYTHON) -m ruff check --fix .
	$(VENV_PYTHON) -m ruff format .
	$(VENV_PYTHON) -m djlint templates --reformat --quiet

messages: venv ## find what is to be translated and write it into locale/
	@$(VENV_PYTHON) -m tokenproxy_site.extraction

lock: venv ## pin the requirements*.in files with hashes (needs the network)
	$(COMPILE) requirements.in -o requirements.txt
	$(COMPILE) requirements-dev.in -o requirements-dev.txt
	$(COMPILE) requirements-conformance.in -o requirements-conformance.txt
	$(COMPILE) requirements-aider.in -o requirements-aider.txt
	$(COMPILE) requirements-deploy.in -o requirements-deploy.txt

clean: venv ## remove var/ with all local data, unless something still runs
	@$(VENV_PYTHON) -m devstack clean
