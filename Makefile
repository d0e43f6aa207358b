# Nightdrop. `make demo` shows the main job, `make test` passes the tests: both need Go and make only, as any user.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

GO       ?= go
# The same sources give the same bytes, wherever they are built.
RELEASE  := -trimpath -buildvcs=false -ldflags="-s -w -buildid="
BINARIES := relay vault storefront simulator
export CGO_ENABLED ?= 0

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the four binaries into bin/
	$(GO) build $(RELEASE) -o bin/relay ./relay
	$(GO) build $(RELEASE) -o bin/vault ./vault
	$(GO) build $(RELEASE) -o bin/storefront ./ops/storefront
	$(GO) build $(RELEASE) -o bin/simulator ./ops/simulator

.PHONY: man
man: ## Write a man page of every command into DIR (default bin/man/man1)
	@for program in relay vault ops/storefront ops/simulator; do $(GO) run -tags man "./$$program" man "$(or $(DIR),bin/man/man1)"; done

.PHONY: demo
demo: build ## Run 1,000 orders through relay, vault, acquirer and bank, and look for leaks
	@$(GO) run ./ops/demo --bin bin

.PHONY: site
site: build ## Keep a whole site for training in DIR (default site) until Ctrl-C; the next start goes on
	$(GO) build -o bin/site ./ops/site/training
	@exec bin/site --dir "$(or $(DIR),site)"

.PHONY: test
test: ## Run every test; fails on a skipped or empty suite
	@$(GO) test -json -count=1 -timeout 10m ./... | $(GO) run ./ops/tidy/gate

.PHONY: test-root
test-root: ## Run the tests that need root: full disks, network namespaces
	@$(GO) test -json -count=1 -timeout 10m -tags root -run '^TestRoot' ./ops/e2e | $(GO) run ./ops/tidy/gate

.PHONY: check
check: ## gofmt, vet, golangci-lint
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "gofmt these: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags root,figures ./ops/e2e ./ops/bench
	$(GO) vet -tags man ./shared/command
	cd ops/tools && $(GO) build -o ../../bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	bin/golangci-lint run ./...

.PHONY: bench
bench: build ## Measure the figures; each is a ratio within one run
	@$(GO) run ./ops/bench --bin bin

.PHONY: test-figures
test-figures: ## Measure every figure as briefly as can be, to see that each is printed
	@$(GO) test -json -count=1 -timeout 15m -tags figures ./ops/bench | $(GO) run ./ops/tidy/gate

# Minimising each new input for a minute, as is Go's default, would take up all of a short run.
.PHONY: fuzz
fuzz: ## Fuzz every target for FUZZTIME (default 10s) each
	@for found in $$(git grep -oE '^func Fuzz[A-Za-z0-9_]+' -- '*_test.go' | sed 's/func //'); do \
	  dir=$${found%/*}; target=$${found##*:}; echo "fuzz $$target in $$dir"; \
	  $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime "$${FUZZTIME:-10s}" -fuzzminimizetime 10x "./$$dir"; done

.PHONY: simulate
simulate: ## Run SEEDS histories of a vault (default 1000) from seed FROM (default 1), and name those that fail
	$(GO) test -count=1 -timeout 0 -run '^TestSimulation$$' ./vault/internal/settle/simulation -seeds "$(or $(SEEDS),1000)" -from "$(or $(FROM),1)" $(if $(STORY),-v -story)

# What was under way is told where a damaged file ends the whole process.
.PHONY: flips
flips: ## Flip N bits (default 1000) on the disks of a vault at rest, from seed SEED (default 1), ONLY=GROUP of files
	$(GO) test -count=1 -timeout 0 -run '^TestFlips$$' ./vault -flips "$(or $(N),1000)" -seed "$(or $(SEED),1)" -only "$(ONLY)" -tell "$(TELL)" -keep "$(abspath $(KEEP))" -v \
	  || { cat /dev/shm/nightdrop-flips-under-way "$${TMPDIR:-/tmp}/nightdrop-flips-under-way" 2>/dev/null; exit 1; }

.PHONY: tink-vectors
tink-vectors: ## Remake the parts that the archived google/tink/go seals
	cd testdata/tinkv1 && $(GO) run . > ../vectors/tinkv1.json.new && mv ../vectors/tinkv1.json.new ../vectors/tinkv1.json

.PHONY: clean
clean: ## Remove what was built and left behind
	rm -rf bin demo-*
