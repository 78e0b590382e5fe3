# make demo    three sites in private namespaces; shows the main job in a minute and leaves no trace (root)
# make test    everything that CI runs: check, lab, interop, kernel, chaos, bench (root)
# make check   format, lint, types, unit tests: what everybody runs before a commit; minutes, no root
# make unit | hostile | lab | interop | kernel      one tier alone
# make fuzz    each parser of outside bytes against hostile ones: make fuzz SECONDS=60 [TARGETS="config uapi"]
# make bench   speed beside C floors of the same run (docs/PERFORMANCE.md); its short form is part of make test (root)
# make chaos   random histories, deaths and faults of a real daemon, all of them: hours (docs/RELIABILITY.md); its short
#              form is part of make test (root)
# make setup   missing Debian packages, and .venv from requirements.lock; the others do what they need of it themselves
# make sbom    what peerway is made of, as CycloneDX: build/peerway.cdx.json
# make audit   whether what is installed is what requirements.lock says, with known licences; needs no network
# make docs    configuration reference and manual pages again
# make lock    requirements.lock again, from pyproject.toml, and requirements-fuzz.lock
# make clean   .venv, caches and logs away

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.peerway
SECONDS := 60
TARGETS :=
TIERS := $(PY) tools/tiers.py

# program (or file) that tells whether a package is there : package
BASE := ip:iproute2 wg:wireguard-tools wireguard-go:wireguard-go ping:iputils-ping bird:bird2
ROUTING := systemd-analyze:systemd curl:curl babeld:babeld /usr/lib/frr/zebra:frr tcpdump:tcpdump ps:procps \
	cc:gcc /usr/include/stdio.h:libc6-dev
GUESTS := qemu-system-x86_64:qemu-system-x86 /bin/busybox:busybox-static modprobe:kmod \
	/usr/share/keyrings/debian-archive-keyring.gpg:debian-archive-keyring
ifeq ($(wildcard /usr/lib/qemu/virtiofsd),) # Debian 12 has it in qemu-system-common, Debian 13 apart
GUESTS += $(if $(filter trixie,$(shell . /etc/os-release && echo $$VERSION_CODENAME)),/usr/libexec/virtiofsd:virtiofsd)
endif

.PHONY: demo test check unit hostile fuzz lab interop kernel chaos bench setup sbom audit docs lock clean packages
.DEFAULT_GOAL := check

demo: $(STAMP)
	@tools/packages.sh $(BASE)
	@$(VENV)/bin/peerway demo

test: setup
	@PEERWAY_HISTORIES=1500 $(TIERS) check hostile lab interop kernel chaos bench

check: $(STAMP)
	@$(TIERS) check

unit hostile: $(STAMP)
	@$(TIERS) $@

fuzz: $(STAMP)
	@$(PY) -m pip install -qq --disable-pip-version-check --require-hashes -r requirements-fuzz.lock
	@$(PY) -m tests.fuzz.run $(SECONDS) $(TARGETS)

lab interop kernel: setup
	@$(TIERS) $@

chaos: setup
	@PEERWAY_CHAOS=full $(TIERS) chaos

bench: setup
	@$(PY) -m tests.bench.run

setup: packages $(STAMP)

packages:
	@tools/packages.sh $(BASE) $(ROUTING) $(GUESTS)

$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || tools/packages.sh python3:python3
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "setup: peerway needs Python 3.11 or later: make PYTHON=python3.11")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || tools/packages.sh no-venv:python3-venv
	@echo "setup: $(VENV) from requirements.lock"
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
	@$(PY) -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

sbom: $(STAMP)
	@$(PY) -m tools.supply sbom build/peerway.cdx.json

audit: $(STAMP)
	@$(PY) -m tools.supply check

docs: $(STAMP)
	@$(PY) -m tools.docs

lock: $(STAMP)
	@$(PY) -m pip install -qq uv
	@$(VENV)/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--all-extras pyproject.toml -o requirements.lock
	@$(VENV)/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		requirements-fuzz.in -o requirements-fuzz.lock
	@sed -i '1i # make lock: every package that peerway and its tests need, with hashes, for Python 3.11 and later.' \
		requirements.lock

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests tools -name __pycache__ -prune -exec rm -rf {} +
