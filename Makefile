# make help shows the targets. Commands only: what they decide stands in the code.

ARCH    := $(shell uname -m)
MUSL    := $(ARCH)-unknown-linux-musl
BIN     := $(or $(CARGO_TARGET_DIR),target)/release/ctrbox
MSRV    := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

# Where `make install` installs: from the command line or the environment, in capitals or not.
PREFIX     ?= /usr/local
prefix     ?= $(PREFIX)
BINDIR     ?= $(prefix)/bin
bindir     ?= $(BINDIR)
LIBEXECDIR ?= $(prefix)/libexec
libexecdir ?= $(LIBEXECDIR)
DATADIR    ?= $(prefix)/share
datadir    ?= $(DATADIR)
MANDIR     ?= $(datadir)/man
mandir     ?= $(MANDIR)
DOCDIR     ?= $(datadir)/doc/ctrbox
docdir     ?= $(DOCDIR)
bashdir    ?= $(datadir)/bash-completion/completions
zshdir     ?= $(datadir)/zsh/site-functions
fishdir    ?= $(datadir)/fish/vendor_completions.d
INSTALL    ?= install
help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

build: ## the static binary, at target/release/ctrbox
	./build.sh

run: build ## the processes of this host, each with its container
	"$(BIN)" ctr-ps --forest

check: ## does it compile?
	cargo check --all-targets --locked

test: build ## all tests, with the binary that ships; all failures are reported
	CTRBOX_BIN="$$(realpath "$(BIN)")" cargo test --locked --no-fail-fast

lint: ## formatting, clippy, rustdoc, pages, scripts, completions, stale generated files
	cargo fmt --all --check
	cargo clippy --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings -A rustdoc::private_intra_doc_links' cargo doc --locked --no-deps --document-private-items --quiet
	./lint.sh

msrv: ## does it build with the Rust that Cargo.toml promises? (rustup)
	cargo +$(MSRV) check --locked --all-targets

docs: ## write man/ and completions/ anew
	cargo run --locked --quiet --example docs

order: ## write start-order.ld anew: what a start runs, and its tables (x86-64)
	RUSTFLAGS="$$RUSTFLAGS -C link-arg=-Wl,-Map=target/order.map" CARGO_TARGET_DIR=target/order ./build.sh
	cargo run --locked --quiet --example order target/order/release/ctrbox target/order.map >target/start-order.ld
	mv target/start-order.ld start-order.ld

bless: ## write tests/golden/ anew, what ctr-ps prints of hosts in files: look at the difference
	CTRBOX_BLESS=1 cargo test --locked --test it -- --exact ctr_ps::golden_outputs_of_two_hosts

bench: build ## against the originals: starts, and lists on hosts of 100, 2,000 and 10,000 processes (root)
	CTRBOX_BIN="$$(realpath "$(BIN)")" CARGO_TARGET_DIR=target/bench cargo bench --locked --bench starts --bench scan

sizes: ## the bytes of each crate in the binary: a table of docs/COSTS.md
	DEBUG=1 CARGO_TARGET_DIR=target/order ./build.sh
	benches/sizes.sh target/order/release/ctrbox

SECONDS ?= 60
fuzz: ## each parser for SECONDS seconds, TARGETS="stat status" for some (cargo-fuzz, nightly)
	SECONDS_EACH="$(SECONDS)" fuzz/run.sh

matrix: build ## typical commands on many kinds of hosts: the table of docs/HOSTS.md (root)
	@BIN="$(BIN)" tests/matrix.sh

coverage: ## which lines of src the tests run (nightly with llvm-tools); TESTS="nsenter cgexec" for some of them
	tests/coverage.sh $(TESTS)

ROUNDS ?= 100
soak: build ## the long part: every injected error, ROUNDS beside processes that come and go, the fuzzers (root, an hour)
	CTRBOX_BIN="$$(realpath "$(BIN)")" CTRBOX_FAULTS=all CTRBOX_TEST_ROUNDS="$(ROUNDS)" \
		cargo test --locked --no-fail-fast --test it -- --nocapture injected churn attacks_races
	SECONDS_EACH="$(SECONDS)" fuzz/run.sh

# Only for these two: a test runs make with directories of its own.
install uninstall: export bindir := $(bindir)
install uninstall: export libexecdir := $(libexecdir)
install uninstall: export mandir := $(mandir)
install uninstall: export docdir := $(docdir)
install uninstall: export bashdir := $(bashdir)
install uninstall: export zshdir := $(zshdir)
install uninstall: export fishdir := $(fishdir)
install uninstall: export DESTDIR := $(DESTDIR)
install uninstall: export COMPAT := $(COMPAT)
install uninstall: export INSTALL := $(INSTALL)
install uninstall: export BIN := $(BIN)

install: ## needs `make build` before; COMPAT=1 takes the names of util-linux, libcap and libcgroup too
	./install.sh install

uninstall: ## remove what install with the same variables installed
	./install.sh uninstall

package: build ## what a package has, in target/package
	rm -rf target/package
	$(MAKE) install PREFIX=/usr LIBEXECDIR=/usr/libexec DESTDIR="$(CURDIR)/target/package" COMPAT=

# zsh of Debian looks into vendor-completions.
deb: package ## target/debian/ctrbox_*.deb, with cargo-deb
	mv target/package/usr/share/zsh/site-functions target/package/usr/share/zsh/vendor-completions
	cd target/package/usr/share/doc/ctrbox && rm LICENSE-* && gzip -9nc CHANGELOG.md >changelog.gz && rm CHANGELOG.md
	CARGO_TARGET_DIR=target cargo deb --no-build --no-strip
	./lint.sh deb target/debian/ctrbox_*.deb

rpm: package ## target/rpm/RPMS/*/ctrbox-*.rpm, with rpmbuild
	rpmbuild -bb --nodeps --define '_topdir $(CURDIR)/target/rpm' --define 'tree $(CURDIR)/target/package' \
		--define '_docdir /usr/share/doc' --define '_libexecdir /usr/libexec' contrib/fedora/ctrbox.spec
	./lint.sh rpm target/rpm/RPMS/*/ctrbox-*.rpm

dist: ## target/dist/: the source with its crates, the same bytes each time, and the list of crates (SBOM)
	./dist.sh

release-check: ## what takes long: packages in a bare Debian root, the tarball without network, cross builds (root)
	tests/release.sh

clean: ## what building made
	cargo clean

.PHONY: help build run check test lint msrv docs order bless bench sizes fuzz matrix coverage soak install uninstall package deb rpm dist release-check clean
.DEFAULT_GOAL := help
