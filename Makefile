# cxbus: what one does with a checkout. `make help` lists the targets.

FUZZTIME ?= 5s
BENCH    ?= .
TIMEOUT  ?= 10m

# Every module of the repository, the library's own first. A new nested
# module is linted and tested from the moment its go.mod is there.
MODULES := $(patsubst %/go.mod,%,$(wildcard ./go.mod */go.mod */*/go.mod */*/*/go.mod))

# The race detector needs cgo, and cgo a C compiler with its headers.
RACE := $(shell test "$$(go env CGO_ENABLED)" = 1 && \
	printf '\043include <stdlib.h>\n' | $$(go env CC) -E - >/dev/null 2>&1 && echo -race)

.DEFAULT_GOAL := help
.PHONY: help demo fmt fmt-check lint test test-go bench bench-go fuzz soak

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: ## play one whole chat against the embedded simulator
	@go run ./cmd/busdemo demo

fmt: ## format all Go files
	@gofmt -s -w .

lint: fmt-check bin/staticcheck ## check format, go vet and staticcheck (pinned in tools/go.mod) in every module
	@set -e; for m in $(MODULES); do \
		echo "lint $$m"; \
		(cd $$m && go vet ./... && $(CURDIR)/bin/staticcheck ./...); \
	done

test: lint test-go ## run everything: format, vet, static analysis, all tests

bench: ## print the bus beside its baselines and other buses; BENCH=regexp chooses jobs
	@cd bus/bench && go run . -job '$(BENCH)'

bench-go: ## run the Go benchmarks of all packages; BENCH=regexp chooses
	@set -e; for m in $(MODULES); do \
		(cd $$m && go test -run '^$$' -bench '$(BENCH)' -benchmem ./...); \
	done

fuzz: ## fuzz each target for FUZZTIME (5s)
	@set -e; for f in $$(grep -rl --include='*_test.go' '^func Fuzz' .); do \
		for t in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$f); do \
			echo "fuzz $$t in $$(dirname $$f)"; \
			(cd $$(dirname $$f) && go test -run '^$$' -fuzz "^$$t\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s .); \
		done; \
	done

soak: bin/suite ## run the suite at full size (SOAK=1); takes hours
	@set -e; for m in $(MODULES); do \
		(cd $$m && SOAK=1 $(CURDIR)/bin/suite -count=1 $(RACE) -shuffle=on -timeout 6h ./...); \
	done

# Below: parts of the targets above.

fmt-check:
	@files=$$(gofmt -s -l .); if [ -n "$$files" ]; then \
		echo "not formatted (make fmt does it):" $$files >&2; exit 1; fi

test-go: bin/suite
ifeq ($(RACE),)
	@echo "test: no C compiler, so the race detector is off"
endif
	@set -e; for m in $(MODULES); do \
		(cd $$m && $(CURDIR)/bin/suite $(RACE) -shuffle=on -timeout $(TIMEOUT) ./...); \
	done

# The tools are built through the Go module proxy from the versions that
# tools/go.mod pins; the library's own go.mod does not know them.
bin/staticcheck: tools/go.mod tools/go.sum
	@echo "build $@"
	@go build -C tools -o ../bin/staticcheck honnef.co/go/tools/cmd/staticcheck

bin/suite: tools/go.mod $(wildcard tools/suite/*.go)
	@echo "build $@"
	@go build -C tools -o ../bin/suite ./suite
