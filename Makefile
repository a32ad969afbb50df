# warest: the commands that people and CI type. `make help` lists them.
SHELL := /usr/bin/env bash
.DEFAULT_GOAL := help

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/warest
export CARGO_BUILD_JOBS ?= 2
export RUST_TEST_THREADS ?= 4

.PHONY: help run cluster build test lint fmt bench images

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Start gateway (4000) + simulator (4001); WHATSAPP=live talks to WhatsApp itself
	@scripts/run

cluster: ## A Kubernetes control plane here, with a node that runs our programs; prints its kubeconfig
	@scripts/cluster

images: ## Container images of the programs, as archives in target/images
	@scripts/images

build: ## Build the programs that the tests run
	@scripts/build

test: ## Everything: lints, unit tests, the whole system, outside clients, a browser
	@scripts/test

lint: ## Formatting, clippy with warnings denied, licences and bans
	@scripts/lint

fmt: ## Format the sources
	@cargo fmt --all

bench: ## Memory, start-up time and throughput beside Baileys, whatsmeow and the bare engine
	@scripts/bench
