# Everything needs only Python >= 3.11 with its headers, a C compiler and make.
#
#   make PYTHON=python3.13 test     with another Python
#   make test PYTHONS="python3.12"  the fast tests on further Pythons too

PYTHON ?=
VENV ?= .venv
PYTHONS ?=
PYTEST_ARGS ?=
ONCE ?=
BENCH_ARGS ?=
FURTHER ?=
N ?= 10000000

# A further Python has an environment of its own: .venv-3.12
ifneq ($(FURTHER),)
PYTHON := $(FURTHER)
VENV := .venv-$(shell $(FURTHER) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
endif

BIN := $(VENV)/bin
NATIVE := $(shell find native -name '*.c' -o -name '*.h')
SOURCES := $(shell find src native -name '*.py' -o -name '*.pyi' -o -name '*.c' -o -name '*.h') \
	$(shell find src/asynchooks/viewer/static -type f 2>/dev/null) \
	pyproject.toml setup.py MANIFEST.in

.PHONY: help demo test test-all test-fast test-oldest test-model test-cpython test-sanitized \
	test-stress test-page soak lint format bench bench-requests bench-spans bench-storages page \
	screenshots build lock clean

help:
	@echo 'make demo            the example service, traffic, and the page (ONCE=1: one round, then end)'
	@echo 'make test            the whole test suite; PYTHONS="python3.12 ..." runs its fast part there too'
	@echo 'make test-all        the whole suite, and its fast part on every other Python that is found'
	@echo 'make test-fast       the tests that start no server'
	@echo 'make test-oldest     the tests of libraries, with the oldest releases that are supported'
	@echo 'make test-model      random programs against the model; EXAMPLES=20000'
	@echo 'make test-cpython    the tests of asyncio that come with Python, with the engine on'
	@echo 'make test-sanitized  the C core under AddressSanitizer; needs gcc'
	@echo 'make test-stress     the core under a debug allocator, and with the garbage collector at work'
	@echo 'make soak            many tasks, and nothing left of them; N=10000000'
	@echo 'make test-page       the tests of the page; needs Node'
	@echo 'make lint            ruff, mypy --strict, clang-format'
	@echo 'make format          let ruff and clang-format write what they ask for'
	@echo 'make bench           what asynchooks costs, against plain asyncio; BENCH_ARGS="--help"'
	@echo 'make bench-requests  what tracing costs a service, against OpenTelemetry, ddtrace and Sentry'
	@echo 'make bench-spans     what a span costs, against OpenTelemetry and ddtrace'
	@echo 'make bench-storages  what AsyncLocalStorage costs, against context variables by hand'
	@echo 'make page            build the page from ui/; needs Node'
	@echo 'make screenshots     take the pictures of docs/images; needs Chromium'
	@echo 'make build           sdist and wheel, in dist/'
	@echo 'make lock            renew requirements/test.txt'
	@echo 'make clean           remove what the above made'

demo: $(VENV)/.installed
	$(BIN)/asynchooks demo $(if $(ONCE),--once)

test: $(VENV)/.installed
	$(BIN)/python -m pytest $(PYTEST_ARGS)
	@set -e; for python in $(PYTHONS); do $(MAKE) --no-print-directory test-fast FURTHER=$$python; done

test-all:
	$(MAKE) --no-print-directory test PYTHONS="$$(scripts/find-pythons '$(PYTHON)')"

test-fast: $(VENV)/.installed
	$(BIN)/python -m pytest -m 'not slow' $(PYTEST_ARGS)

# On the oldest Python: newer ones have no wheels of them. Old releases warn of what Python has
# deprecated since, and leave a file to the garbage collector. The servers of the databases, and the
# viewer, keep to the newest ones.
OLDEST := tests/libraries $(addprefix --ignore=tests/libraries/,opentelemetry test_log_export.py) \
	tests/integration/test_run_servers.py \
	$(addprefix tests/boundaries/frameworks/test_,clients.py django.py servers.py starlette.py wsgi.py)

test-oldest: .venv-oldest/.installed $(VENV)/.installed
	ASYNCHOOKS_TEST_SERVER_PYTHON=$(abspath $(BIN)/python) .venv-oldest/bin/python -m pytest \
		-W ignore::DeprecationWarning -W ignore::ImportWarning -W 'ignore:Unclosed file:ResourceWarning' \
		$(OLDEST) $(PYTEST_ARGS)

.venv-oldest/.dependencies: requirements/oldest.txt
	rm -rf .venv-oldest
	"$$(scripts/find-python python3.11)" -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

.venv-oldest/.installed: .venv-oldest/.dependencies $(SOURCES)
	rm -rf build/lib* build/bdist* build/temp*
	.venv-oldest/bin/python -m pip install --quiet --disable-pip-version-check \
		--no-build-isolation --no-deps --force-reinstall .
	@touch $@

# Random programs: the C core against the model of its semantics, of each loop so many.
EXAMPLES ?= 20000
# faulthandler's dump of a test that takes long walks the frames of a thread that runs, and may crash.
LONG := -o faulthandler_timeout=0

test-model: $(VENV)/.installed
	MODEL_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest tests/model $(LONG) $(PYTEST_ARGS)

# In parts (-j1: a process each), so that one part's leftovers are not another's.
test-cpython: $(VENV)/.installed
	cd $(VENV) && ASYNCHOOKS=1 bin/python -c 'import sys; sys.exit("asynchooks._autostart" not in sys.modules)'
	cd $(VENV) && ASYNCHOOKS=1 bin/python -m test -j1 test_asyncio

CORE_TESTS := -m 'not slow' tests/unit tests/conformance tests/life

# The C core under AddressSanitizer and UndefinedBehaviorSanitizer, whose runtimes come with gcc.
SANITIZE := -fsanitize=address,undefined -fno-omit-frame-pointer -O1 -g
RUNTIMES = $$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)

test-sanitized: $(VENV)/.dependencies
	rm -rf build/lib* build/bdist* build/temp* build/sanitized
	CFLAGS="$(SANITIZE)" LDFLAGS="$(SANITIZE)" $(BIN)/python -m pip install --quiet \
		--disable-pip-version-check --no-build-isolation --no-deps --target build/sanitized .
	PYTHONPATH=build/sanitized PYTHONMALLOC=malloc LD_PRELOAD="$(RUNTIMES)" \
		ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
		$(BIN)/python -m pytest $(CORE_TESTS) $(PYTEST_ARGS)

# Memory that is checked whenever it is freed, and the garbage collector at almost every allocation.
test-stress: $(VENV)/.installed
	PYTHONMALLOC=debug PYTHONDEVMODE=1 $(BIN)/python -m pytest $(CORE_TESTS) $(PYTEST_ARGS)
	ASYNCHOOKS_TEST_GC_THRESHOLD=1 $(BIN)/python -m pytest $(CORE_TESTS) $(PYTEST_ARGS)

soak: $(VENV)/.installed
	$(BIN)/python tests/soak/many_tasks.py $(N)
	$(BIN)/python tests/soak/many_tasks.py --hooks $(N)

# The page's own tests, and whether what is committed is what its source builds. Needs Node.
test-page: ui/node_modules/.installed
	cd ui && npm test && npm run check

ui/node_modules/.installed: ui/package-lock.json
	cd ui && npm ci --no-audit --no-fund
	@touch $@

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cd examples/shop && ../../$(BIN)/mypy --strict --config-file= --cache-dir=../../.mypy_cache shop rates
	$(BIN)/clang-format --dry-run --Werror $(NATIVE)

format: $(VENV)/.dependencies
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(NATIVE)

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks.overhead $(BENCH_ARGS)

bench-spans: $(VENV)/.installed
	$(BIN)/python -m benchmarks.spans $(BENCH_ARGS)

bench-requests: $(VENV)/.installed
	$(BIN)/python -m benchmarks.requests $(BENCH_ARGS)

bench-storages: $(VENV)/.installed
	$(BIN)/python -m benchmarks.storages $(BENCH_ARGS)

page: ui/node_modules/.installed
	cd ui && npm run build

screenshots: $(VENV)/.installed
	$(BIN)/python scripts/take-screenshots

build: $(VENV)/.dependencies
	rm -rf build/lib* build/bdist*
	$(BIN)/python -m build --outdir dist

lock: $(VENV)/.created
	rm -rf build/lock
	$(BIN)/python -m venv build/lock
	build/lock/bin/python -m pip install --quiet --requirement requirements/test.in
	echo '# Written by `make lock` from test.in. The same for Python 3.11 to 3.15.' \
		> requirements/test.txt
	build/lock/bin/python -m pip freeze --all --exclude pip >> requirements/test.txt

clean:
	rm -rf build dist .venv .venv-* src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Somebody else's receiver of OTLP, which the slow tests send spans to.
build/receiver/.installed: requirements/receiver.txt $(VENV)/.created
	rm -rf build/receiver
	$(BIN)/python -m venv build/receiver
	build/receiver/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

$(VENV)/.created:
	scripts/prerequisites '$(PYTHON)'
	"$$(scripts/find-python '$(PYTHON)')" -m venv $(VENV)
	@touch $@

$(VENV)/.dependencies: $(VENV)/.created requirements/test.txt requirements/test-as-is.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements/test.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--requirement requirements/test-as-is.txt
	@touch $@

# What users install: a wheel. Made anew from scratch, so that no file of before is in it.
$(VENV)/.installed: $(VENV)/.dependencies $(SOURCES)
	rm -rf build/lib* build/bdist* build/temp*
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps \
		--force-reinstall .
	@touch $@
