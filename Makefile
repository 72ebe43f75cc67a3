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
	deb-deps deb check-deb check-docs check-source web-deps check-web install install-files clean

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

# A cluster engine, and the tester of its agents.
ocf-deps: deps
	@scripts/need $@ pacemaker corosync pacemaker-cli-utils resource-agents libxml2-utils

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
	@scripts/need $@ tgt libiscsi-dev python3 gcc

# stmfd beside Debian's tgt and a bare loop; writes docs/performance.md. BENCH_FLAGS=--quick takes about 2 minutes.
bench-iscsi: build bench-deps
	benches/iscsi/run --write-doc $(BENCH_FLAGS)

# READ through the standby path beside the active path, plain and over TLS; the cost of a byte in messages. Writes docs/performance.md.
bench-pair: build bench-deps
	cargo bench --bench pair | tee target/bench-pair.txt
	benches/pair/run --write-doc --codec target/bench-pair.txt $(BENCH_FLAGS)

# What packaging needs beyond `make deps`; all of it is in Debian main.
deb-deps: deps
	@scripts/need $@ debhelper dpkg-dev lintian debootstrap systemd-container

# Debian packages, into target/deb.
deb: build deb-deps
	scripts/deb

# Builds the packages, then installs, runs, upgrades and purges them in a fresh Debian under systemd. Downloads that Debian.
check-deb: deb
	scripts/check-deb

# Runs the commands of the guides and of the manual pages' examples on two such machines, and compares what they print.
check-docs: deb
	scripts/check-docs

# `make demo` in such a machine that has nothing but a compiler and Rust.
check-source: deb-deps
	scripts/check-source

# A browser and its driver.
web-deps: deps
	@scripts/need $@ chromium chromium-driver

# The status page in that browser, without a display, with two nodes under load; leaves target/status-page.png.
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
