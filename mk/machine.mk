# SPDX-License-Identifier: MIT OR GPL-2.0-only
# The simulated machine: random streams of operations, by turns of guests on direct tables and of guests whose tables are
# mirrored, each followed by looks at every table. A failure names its seed.
#
#   make check-machine              for MACHINE_SECONDS under the address and undefined-behaviour sanitizers, for
#                                   COVERAGE_SECONDS built to count what the streams reach of core/, MACHINE_OPERATIONS
#                                   (18.5 million: with what the others do, more than 20) without either, and the fuzzers;
#                                   on two CPUs
#   make check-machine SEED=17      that stream alone
#   make machine-long               MACHINE_OPERATIONS alone
#   make machine-coverage           what the streams reach, file by file

BUILD              ?= build
MACHINE_SECONDS    ?= 30
COVERAGE_SECONDS   ?= 10
MACHINE_OPERATIONS ?= 18500000
SEED               ?=

MACHINE_SOURCES := $(wildcard core/*/*.c machine/*.c) tests/support/stream_main.c
MACHINE_CFLAGS   = -std=gnu11 -g -Wall -Wextra -Werror -Iinclude -Icore -Imachine

# One program, built for each purpose.
MACHINE_CC_machine           = clang
MACHINE_CFLAGS_machine       = -O1 -DVMMU_DEBUG -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
# By the same compiler: a seed is the same stream then.
MACHINE_CC_machine-long      = clang
MACHINE_CFLAGS_machine-long  = -O3 -march=native -flto -DVMMU_DEBUG
# Without VMMU_DEBUG: whether a check can fail is no branch of the core's.
MACHINE_CC_machine-coverage     = gcc
MACHINE_CFLAGS_machine-coverage = -O1 --coverage -DMACHINE_COVERAGE

# $(1): what it is built for.
define MACHINE_RULES
$$(BUILD)/$(1)/%.o: %.c
	@mkdir -p $$(@D)
	@$$(MACHINE_CC_$(1)) $$(MACHINE_CFLAGS) $$(MACHINE_CFLAGS_$(1)) -MMD -MP -c $$< -o $$@

$$(BUILD)/$(1)/vmmu-machine: $$(MACHINE_SOURCES:%.c=$$(BUILD)/$(1)/%.o)
	@$$(MACHINE_CC_$(1)) $$(MACHINE_CFLAGS_$(1)) $$^ -lpthread -o $$@

-include $$(MACHINE_SOURCES:%.c=$$(BUILD)/$(1)/%.d)
endef
MACHINE_BUILDS := machine machine-coverage machine-long
$(foreach b,$(MACHINE_BUILDS),$(eval $(call MACHINE_RULES,$(b))))

.PHONY: check-machine machine-long machine-coverage
check-machine: $(MACHINE_BUILDS:%=$(BUILD)/%/vmmu-machine) $(FUZZ_TARGETS:%=$(BUILD)/fuzz/%) ## run random operations on a simulated machine
	@$(if $(SEED),FAILURE=$(BUILD)/machine/failure $< run 0 $(SEED),\
		tests/support/machine_check.sh $(BUILD) $(MACHINE_SECONDS) $(COVERAGE_SECONDS) $(MACHINE_OPERATIONS) \
			$(FUZZ_SECONDS) $(FUZZ_TARGETS))

machine-long: $(BUILD)/machine-long/vmmu-machine ## run MACHINE_OPERATIONS random operations on a simulated machine, on two CPUs
	@FAILURE=$(BUILD)/machine-long/failure $< run 0 -j 2 -n $(MACHINE_OPERATIONS)

machine-coverage: $(BUILD)/machine-coverage/vmmu-machine ## show what random operations reach of the core, file by file
	@find $(BUILD)/machine-coverage -name '*.gcda' -delete
	@FAILURE=$(BUILD)/machine-coverage/failure $< run $(COVERAGE_SECONDS) -j 2
	@gcovr --root . --filter core/ --object-directory $(BUILD)/machine-coverage $(BUILD)/machine-coverage
