# SPDX-License-Identifier: MIT OR GPL-2.0-only
# make check: every part there is, each to its end, whatever became of the ones before.
#
# A part is a target check-NAME of a fragment in mk/. The last line it prints of the form
# `N passed, N failed, N skipped` is its result; make check ends with the sum, alone on a line.
# What a part printed is kept in build/check/NAME.log.
#   make check PARTS='check-unit check-house'   only these

# Quick ones first; a part that a new fragment brings is found by itself. The emulated Intel host takes one CPU for as long as
# the emulated AMD hosts take, and they run side by side: what both need is built before.
CHECK_ORDER := check-house check-bed check-unit check-machine check-race check-intel check-kvm
CHECK_FOUND := $(shell sed -n 's/^\(check-[a-z]*\):.*/\1/p' $(wildcard mk/*.mk))
PARTS       ?= $(filter $(CHECK_FOUND),$(CHECK_ORDER)) $(sort $(filter-out $(CHECK_ORDER),$(CHECK_FOUND)))

.PHONY: check check-house
check: deps ## run every check there is
ifneq ($(filter check-intel,$(PARTS)),)
	+-@$(MAKE) -j$$(nproc) kvm selftests
endif
	+@MAKE='$(MAKE)' mk/check.sh $(patsubst check-intel,+check-intel,$(PARTS))

check-house: ## check the house: licences, spelling, and what the documents say is there
	@mk/check-house.sh
