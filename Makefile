# Everything that is done with this tree. `make` alone lists it.
SHELL   := /bin/bash
GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
# The lab and some tests need root. What runs as root keeps the caller's Go and its caches.
SUDO    := $(if $(filter 0,$(shell id -u)),,sudo -E env "PATH=$(PATH)")
# Tests that need one of these fail where it is missing, instead of being skipped.
REQUIRE := lab root openssh mariadb

.PHONY: help build setup demo test check bench docs release clean

help: ## list what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

build: bin/runner ## build bin/runner

bin/runner: FORCE
	@$(GO) build -trimpath -ldflags "-X main.version=$(VERSION)" -o $@ ./cmd/runner
FORCE:

setup: ## install the Debian packages that the lab and the tests need
	@$(SUDO) .ci/setup

demo: setup build ## move a mail server in the lab and prove that nothing is lost
	@$(SUDO) lab/demo.sh

check: build ## format, vet, staticcheck and the tests that need no lab and no root (under 2 minutes)
	@test -z "$$(gofmt -l .)" || { echo "not formatted:"; gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) test -short ./...

test: setup build ## every test, on real servers in the lab
	@test -z "$$(gofmt -l .)" || { echo "not formatted:"; gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(SUDO) env "RUNNER_TEST_REQUIRE=$(REQUIRE)" $(GO) test -race -timeout 20m ./...

bench: setup build ## compare with rsync, tar over ssh and Ansible on the same work, and print the ratios
	@$(SUDO) .ci/setup ansible-core ansible-mitogen || echo "without Ansible and Mitogen"
	$(SUDO) $(GO) test -run '^$$' -bench . -benchtime 1x -timeout 60m ./...

docs: build ## write the generated documentation anew
	bin/runner doc --markdown > docs/modules.md
	bin/runner doc --types > docs/types.d.lua

release: ## build static binaries, Debian packages, SBOMs and checksums into dist/
	@.ci/release

clean: ## remove what was built
	rm -rf bin dist
