# SPDX-License-Identifier: Apache-2.0
# Front of the project: every goal is one or two commands that also work alone. Scripts with logic live in tools/.

SHELL = /bin/bash
PREFIX = /usr/local

.PHONY: help build demo test test-kernels test-cluster test-packages packages bench check docs format coverage install doctor clean

help: ## This list
	@printf 'make GOAL, where GOAL is one of\n'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 17

demo: ## Set up, boot examples/dual-numa.yaml, verify it and print its topology
	@tools/setup build run
	@tools/build release mimic
	@tools/demo examples/dual-numa.yaml

test: ## Set up, build with sanitizers and run all tests
	@tools/run_tests

test-kernels: ## As test, but only the VM tests, on the newest kernel too
	@tools/run_tests --kernels

test-cluster: ## As test, but only the tests on Kubernetes, with those on two virtual machines
	@tools/run_tests --cluster

test-packages: packages ## Make the packages and install them in clean roots of Debian's releases, where a machine boots (root)
	@ctest --test-dir build/release -C packages -L packages --output-on-failure

packages: ## Make .deb packages, a tarball and a container image, into build/packages
	@tools/setup build dra packages
	@tools/build release installed
	@tools/packages build/packages

bench: ## Build for speed and print the benchmark's ratios
	@tools/setup build test run dra
	@tools/build release mimic bench_region_access bench_many_devices bench_dma_engine bench_fabric bench_instructions bench_trace \
		bench_neighbour bench_sim_socket bench_vgpu_fairness bench_vgpu_decision bench_vgpu_socket \
		bench_vgpu_overhead mimic-mediator mimic-mediator-load \
		mimic-dra bench_dra_prepare $$(pkg-config --exists systemc && echo bench_event_kernel)
	@bench/run build/release

build: ## Build for use, into build/release
	@tools/setup build dra
	@tools/build release

check: ## clang-tidy, clang-format and the rules of tools/check_tree
	@tools/setup dra test
	@python3 tools/check_tree
	@tools/format --check
	@tools/build tidy

docs: ## The documentation as a site, links checked, into build/site
	@tools/setup docs
	@python3 tools/site build/site

format: ## Reformat the C++ sources with clang-format
	@tools/format

coverage: ## Run the unit and protocol tests and print line coverage by folder
	@tools/setup test
	@tools/build coverage
	@tools/coverage build/coverage

# Debug information is nine tenths of the programs; STRIP= keeps it.
STRIP = --strip

install: ## Install under PREFIX (default /usr/local) and DESTDIR
	@tools/setup build dra
	@tools/build release installed
	@cmake --install build/release --prefix "$(PREFIX)" $(STRIP)

doctor: ## Say what is missing on this machine and what mends it
	@tools/setup build
	@tools/build release mimic
	@build/release/bin/mimic doctor

clean: ## Remove all builds (the cache of downloads stays)
	@rm -rf build
