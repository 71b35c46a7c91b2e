# make run [PORT=8123]   set up the service, without torch, and serve on 127.0.0.1
# make demo              from a shift of the input to its repair, in a minute
# make test              set up everything, check and test
# make test-all          the same with coverage, slow tests, and more random requests to every operation of the API
# make check             format, lint, types, import rules
# make docs              build the site of the documentation into build/site; `make run` serves it under /guide
# make clean             remove what the others made, but not the repository

PORT ?= 8000

.PHONY: run demo test test-all check docs clean

run: .venv/.service
	.venv/bin/python -m service --port $(PORT) $(if $(wildcard build/site/index.html),--guide-dir build/site)

demo: .venv/.service
	.venv/bin/denge demo

test: .venv/.all
	scripts/check --without-types
	scripts/test -m "not slow"

test-all: .venv/.all
	scripts/check --without-types
	FUZZ_EXAMPLES=100 scripts/test --cov --cov-report=term

check: .venv/.all
	scripts/check

docs: .venv/.docs
	scripts/build-docs

# A stamp is written when its installation has succeeded, so that one that was interrupted is done again.
.venv/.service: pyproject.toml constraints.txt scripts/install service/wire/number_reader.c
	scripts/install cpu
	touch $@

.venv/.all: pyproject.toml constraints.txt scripts/install service/wire/number_reader.c
	scripts/install cpu,training,test,lint
	touch $@ .venv/.service

.venv/.docs: pyproject.toml constraints.txt scripts/install
	scripts/install cpu,docs
	touch $@

clean:
	rm -rf .venv build node_modules *.egg-info service/wire/*.so .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
