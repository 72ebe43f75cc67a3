# The two commands for the start: `make demo`, `make check`.
SHELL   := /bin/bash
PREFIX  ?= /usr/local
LIBDIR  ?= $(PREFIX)/lib
SBINDIR ?= $(PREFIX)/sbin
DESTDIR ?=
UNITDIR ?= $(PREFIX)/lib/systemd/system
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
MAJOR   := 1
PROGRAMS := stmfd stmfproxy stmfadm sbdadm itadm aluaadm

.PHONY: all build deps demo check soak conformance check-vm ocf-deps check-ocf bench bench-deps bench-iscsi bench-pair \
	deb-deps deb check-deb check-docs web-deps check-web install install-files clean

all: build

# Debian packages that the build, the tests and the demo need.
deps:
	@scripts/deps

build: deps
	cargo build --release

# Two nodes on loopback, one shared disk, a real initiator, a failover. Ends with DEMO OK.
demo: build
	scripts/demo

# Everything that must hold: formatting, lints, documentation, all tests. Also what CI runs.
check: deps
	scripts/check

# Long seeded runs: kills, histories, simulation. About 45 minutes.
soak: deps
	scripts/soak

# libiscsi's 230 conformance tests against running stmfd; writes docs/conformance.md. `make check` compares with it.
conformance: build
	scripts/conformance

# Linux as the initiator, in a virtual machine, against running nodes; see docs/lab.md. `make check` has the short form of it.
check-vm: build
	lab/check

# Debian packages of `check-ocf`: a cluster engine, and the tester of its agents.
ocf-deps: deps
	@packages="pacemaker corosync pacemaker-cli-utils resource-agents libxml2-utils"; \
	dpkg-query -W $$packages >/dev/null 2>&1 && exit 0; \
	[ "$$(id -u)" = 0 ] || { echo "ocf-deps: needed: $$packages" >&2; exit 1; }; \
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$packages >/dev/null

# The resource agent under a real Pacemaker cluster of two nodes in namespaces; see docs/pacemaker.md. Takes two minutes.
check-ocf: build ocf-deps
	scripts/check-ocf

# Measurements; they never pass or fail.
bench: build
	cargo bench --bench door
	cargo bench --bench api
	cargo bench --bench scale

# What the comparison with another target needs beyond `make deps`.
bench-deps: deps
	@for package in tgt libiscsi-dev python3 gcc; do \
		dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'install ok installed' || missing="$$missing $$package"; done; \
	[ -z "$$missing" ] && exit 0; \
	[ "$$(id -u)" = 0 ] || { echo "bench-deps: these packages are missing:$$missing" >&2; exit 1; }; \
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null

# stmfd beside Debian's tgt and a bare loop; writes docs/performance.md. BENCH_FLAGS=--quick takes about 2 minutes.
bench-iscsi: build bench-deps
	benches/iscsi/run --write-doc $(BENCH_FLAGS)

# READ through the standby path beside the active path, plain and over TLS; the cost of a byte in messages. Writes docs/performance.md.
bench-pair: build bench-deps
	cargo bench --bench pair | tee target/bench-pair.txt
	benches/pair/run --write-doc --codec target/bench-pair.txt $(BENCH_FLAGS)

# What packaging needs beyond `make deps`; all of it is in Debian main.
deb-deps: deps
	@scripts/deb-deps

# Debian packages, into target/deb.
deb: build deb-deps
	scripts/deb

# Builds the packages, then installs, runs, upgrades and purges them in a fresh Debian under systemd. Downloads that Debian.
check-deb: deb
	scripts/check-deb

# Runs the commands of the guides and of the manual pages' examples on two such machines, and compares what they print.
check-docs: deb
	scripts/check-docs

# The status page in a headless browser, with two nodes under load; leaves target/status-page.png.
web-deps: deps
	@scripts/web-deps

check-web: build web-deps
	scripts/check-web

install: build install-files

# What `install` copies, once it is built.
install-files:
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(SBINDIR) $(DESTDIR)$(PREFIX)/include/sys
	install -m 755 target/release/libstmf.so $(DESTDIR)$(LIBDIR)/libstmf.so.$(MAJOR)
	ln -sf libstmf.so.$(MAJOR) $(DESTDIR)$(LIBDIR)/libstmf.so
	install -m 644 target/release/libstmf.a $(DESTDIR)$(LIBDIR)/libstmf.a
	install -m 644 include/libstmf.h include/door.h $(DESTDIR)$(PREFIX)/include/
	[ ! -e include/sys/door.h ] || install -m 644 include/sys/door.h $(DESTDIR)$(PREFIX)/include/sys/
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCLUDEDIR@|$(PREFIX)/include|' -e 's|@VERSION@|$(VERSION)|' packaging/libstmf.pc.in \
		> $(DESTDIR)$(LIBDIR)/pkgconfig/libstmf.pc
	install -m 755 $(addprefix target/release/,$(PROGRAMS)) $(DESTDIR)$(SBINDIR)/
	for page in man/*.[1-9]; do \
		install -D -m 644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/} || exit 1; done
	install -d $(DESTDIR)$(PREFIX)/lib/ocf/resource.d/stmf
	sed 's|/usr/sbin|$(SBINDIR)|' packaging/ocf/lu > $(DESTDIR)$(PREFIX)/lib/ocf/resource.d/stmf/lu
	chmod 755 $(DESTDIR)$(PREFIX)/lib/ocf/resource.d/stmf/lu
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/stmf/schema docs/schema/*.json
	install -d $(addprefix $(DESTDIR)$(PREFIX)/share/,bash-completion/completions zsh/site-functions fish/vendor_completions.d)
	for tool in stmfadm sbdadm itadm aluaadm; do \
		target/release/$$tool completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/$$tool && \
		target/release/$$tool completion zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_$$tool && \
		target/release/$$tool completion fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/$$tool.fish || exit 1; done
	install -d $(DESTDIR)$(UNITDIR)
	for unit in packaging/systemd/*.service; do \
		sed 's|/usr/sbin|$(SBINDIR)|' $$unit > $(DESTDIR)$(UNITDIR)/$${unit##*/} || exit 1; done
	install -D -m 644 packaging/sysusers/stmf.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/stmf.conf

clean:
	cargo clean
