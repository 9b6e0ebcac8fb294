# The commands of this project. `make help` prints this list.
.DEFAULT_GOAL := help
help: ## print this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
.PHONY: help
