# make help shows the targets. Commands only: what they decide stands in the code.

ARCH    := $(shell uname -m)
MUSL    := $(ARCH)-unknown-linux-musl
BIN     := $(or $(CARGO_TARGET_DIR),target)/release/ctrbox
MSRV    := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
prefix  := /usr/local
bindir  := $(prefix)/bin
mandir  := $(prefix)/share/man
bashdir := $(prefix)/share/bash-completion/completions
zshdir  := $(prefix)/share/zsh/site-functions
fishdir := $(prefix)/share/fish/vendor_completions.d

# The names of the applets: man/ has a page of each.
PAGES   := $(notdir $(wildcard man/*.[18]))
APPLETS := $(filter-out ctrbox,$(basename $(PAGES)))

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

order: ## write start-order.ld anew: which functions a start runs (x86-64)
	DEBUG=1 CARGO_TARGET_DIR=target/order ./build.sh
	cargo run --locked --quiet --example order target/order/release/ctrbox >target/start-order.ld
	mv target/start-order.ld start-order.ld

bless: ## write tests/golden/ anew, what ctr-ps prints of hosts in files: look at the difference
	CTRBOX_BLESS=1 cargo test --locked --test it -- --exact ctr_ps::golden_outputs_of_two_hosts

bench: build ## against ps and lsns, on hosts of 100, 2,000 and 10,000 processes (root)
	CTRBOX_BIN="$$(realpath "$(BIN)")" cargo bench --locked --bench scan

install: ## into $(DESTDIR)$(prefix); needs `make build` before
	install -D -m 755 "$(BIN)" $(DESTDIR)$(bindir)/ctrbox
	for a in $(APPLETS); do ln -sf ctrbox $(DESTDIR)$(bindir)/$$a; done
	for p in $(PAGES); do install -D -m 644 man/$$p $(DESTDIR)$(mandir)/man$${p##*.}/$$p; done
	for a in ctrbox $(APPLETS); do \
		install -D -m 644 completions/bash/$$a $(DESTDIR)$(bashdir)/$$a && \
		install -D -m 644 completions/zsh/_$$a $(DESTDIR)$(zshdir)/_$$a && \
		install -D -m 644 completions/fish/$$a.fish $(DESTDIR)$(fishdir)/$$a.fish || exit 1; \
	done

uninstall: ## what install put there
	for a in ctrbox $(APPLETS); do \
		rm -f $(DESTDIR)$(bindir)/$$a $(DESTDIR)$(bashdir)/$$a \
			$(DESTDIR)$(zshdir)/_$$a $(DESTDIR)$(fishdir)/$$a.fish; \
	done
	for p in $(PAGES); do rm -f $(DESTDIR)$(mandir)/man$${p##*.}/$$p; done

clean: ## what building made
	cargo clean

.PHONY: help build run check test lint msrv docs order bless bench install uninstall clean
.DEFAULT_GOAL := help
