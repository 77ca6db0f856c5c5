# cxbus: what one does with a checkout. `make help` lists the targets.

FUZZTIME ?= 5s
BENCH    ?= .
TIMEOUT  ?= 10m

# What `make test` covers. A test of the root module holds that each go.mod of
# the repository is in one of the two lists.
MODULES := . tools bus/oteltap

# Modules that need more than Go and few modules of others: `make test-bench`.
BENCH_MODULES := bus/bench plugins/webchatservice/bench

# What `make dist` builds for.
DIST_TARGETS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

# $(call each,MODULES,WORD,COMMANDS) runs COMMANDS in each module and says so.
each = set -e; for m in $(1); do echo "$(2) $$m"; (cd $$m && $(3)); done

# The race detector needs cgo, and cgo a C compiler with its headers.
RACE := $(shell test "$$(go env CGO_ENABLED)" = 1 && \
	printf '\043include <stdlib.h>\n' | $$(go env CC) -E - >/dev/null 2>&1 && echo -race)

.DEFAULT_GOAL := help
.PHONY: help demo fmt fmt-check tidy tidy-check vet lint test test-go test-bench bench bench-go fuzz soak dist

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: ## play one whole chat against the embedded simulator
	@echo "build bin/busdemo" >&2
	@go build -o bin/busdemo ./cmd/busdemo
	@bin/busdemo demo

fmt: ## format all Go files
	@gofmt -s -w .

tidy: ## bring go.mod and go.sum of every module up to date
	@$(call each,$(MODULES) $(BENCH_MODULES),tidy,go mod tidy)

lint: fmt-check vet bin/staticcheck ## check format, go vet and staticcheck (pinned in tools/go.mod)
	@$(call each,$(MODULES),staticcheck,$(CURDIR)/bin/staticcheck ./...)

test: fmt-check vet test-go ## check format and go vet, run all tests

test-bench: fmt-check bin/staticcheck bin/suite ## lint, build and test the benchmark modules; runs no benchmark
	@$(call each,$(BENCH_MODULES),vet,go vet ./...)
	@$(call each,$(BENCH_MODULES),staticcheck,$(CURDIR)/bin/staticcheck ./...)
	@$(call each,$(BENCH_MODULES),build,go build -o /dev/null ./...)
	@$(call each,$(BENCH_MODULES),test,$(CURDIR)/bin/suite $(RACE) -shuffle=on -timeout $(TIMEOUT) ./...)

bench: ## print the bus beside its baselines and other buses; BENCH=regexp chooses jobs
	@cd bus/bench && go run . -job '$(BENCH)'

bench-go: ## run the Go benchmarks of all packages; BENCH=regexp chooses
	@$(call each,$(MODULES) $(BENCH_MODULES),bench,go test -run '^$$' -bench '$(BENCH)' -benchmem ./...)

fuzz: ## fuzz each target for FUZZTIME (5s)
	@set -e; for f in $$(grep -rl --include='*_test.go' '^func Fuzz' .); do \
		for t in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$f); do \
			echo "fuzz $$t in $$(dirname $$f)"; \
			(cd $$(dirname $$f) && go test -run '^$$' -fuzz "^$$t\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s .); \
		done; \
	done

soak: bin/suite ## run the suite at full size (SOAK=1); takes hours
	@$(call each,$(MODULES) $(BENCH_MODULES),soak,SOAK=1 $(CURDIR)/bin/suite -count=1 $(RACE) -shuffle=on -timeout 6h ./...)

dist: ## build busdemo for six systems into dist/, static, with checksums and bills of materials
	@rm -rf dist && mkdir dist
	@set -e; for t in $(DIST_TARGETS); do \
		os=$${t%/*}; arch=$${t#*/}; f=dist/busdemo_$${os}_$${arch}; [ $$os != windows ] || f=$$f.exe; \
		echo "build $$f"; \
		CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch go build -trimpath -ldflags='-s -w' -o $$f ./cmd/busdemo; \
		go version -m $$f >$$f.bom.txt; \
	done
	@cd dist && { command -v sha256sum >/dev/null && sha256sum busdemo_* || shasum -a 256 busdemo_*; } >SHA256SUMS

# Below: parts of the targets above.

fmt-check:
	@files=$$(gofmt -s -l .); if [ -n "$$files" ]; then \
		echo "not formatted (make fmt does it):" $$files >&2; exit 1; fi

# With empty caches this step fetches the modules of others and compiles all packages.
vet:
	@$(call each,$(MODULES),vet,go vet ./...)

# It fetches the tests of other people's modules, so only CI runs it.
tidy-check:
	@$(call each,$(MODULES) $(BENCH_MODULES),tidy -diff,go mod tidy -diff)

test-go: bin/suite
ifeq ($(RACE),)
	@echo "test: no C compiler, so the race detector is off"
endif
	@$(call each,$(MODULES),test,$(CURDIR)/bin/suite $(RACE) -shuffle=on -timeout $(TIMEOUT) ./...)

# The tools are built through the Go module proxy from the versions that
# tools/go.mod pins; the library's own go.mod does not know them.
bin/staticcheck: tools/go.mod tools/go.sum
	@echo "build $@"
	@go build -C tools -o ../bin/staticcheck honnef.co/go/tools/cmd/staticcheck

bin/suite: tools/go.mod $(wildcard tools/suite/*.go)
	@echo "build $@"
	@go build -C tools -o ../bin/suite ./suite
