# SPDX-License-Identifier: MIT OR GPL-2.0-only
# The verbs. What they do is in mk/, one fragment a product; build/ holds outputs only.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

include $(sort $(wildcard mk/*.mk))

.PHONY: help clean
help: ## say what can be made
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | sort | expand -t 24

clean: ## remove all outputs
	rm -rf $(BUILD)
