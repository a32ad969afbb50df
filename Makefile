# warest: the commands that people and CI type. `make help` lists them.
SHELL := /usr/bin/env bash
.DEFAULT_GOAL := help

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/warest
export CARGO_BUILD_JOBS ?= 2
export RUST_TEST_THREADS ?= 4

.PHONY: help run cluster cluster-down build test e2e lint fmt bench images

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Start gateway (4000) + simulator (4001); WHATSAPP=live talks to WhatsApp itself
	@scripts/run

cluster: ## A Kubernetes control plane here, with a node that runs our programs; NODE=1: a real node, and a shell (or RUN='command') inside
	@scripts/cluster $(if $(NODE),--node $(if $(RUN),bash -c "$$RUN"))

cluster-down: ## Remove all that clusters with a real node left, even killed ones
	@scripts/cluster-down

images: ## Container images of the programs, as archives in target/images
	@scripts/images

build: ## Build the programs that the tests run
	@scripts/build

test: ## Everything: lints, unit tests, the whole system, outside clients, a browser
	@scripts/test

e2e: ## Images, a real node, and the chart on it from install to uninstall
	@scripts/e2e

lint: ## Formatting, clippy with warnings denied, licences and bans
	@scripts/lint

fmt: ## Format the sources
	@cargo fmt --all

bench: ## Memory, start-up and throughput beside other clients; the operator with thousands of sessions; pods on a real node
	@scripts/bench
