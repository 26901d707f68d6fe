# SPDX-License-Identifier: MIT OR GPL-2.0-only
# The simulated machine under the address and undefined-behaviour sanitizers: random streams of operations, each followed
# by a look at every table. A failure names its seed.
#
#   make check-machine              for MACHINE_SECONDS (60)
#   make check-machine SEED=17      that stream alone
#   make check-machine SHADOW=1     guests whose tables are mirrored
#   make check-machine COVERAGE=1   and print how much of core/ the streams reached

BUILD           ?= build
MACHINE_SECONDS ?= 60
SEED            ?=
SHADOW          ?= 0
COVERAGE        ?=

MACHINE_SOURCES := $(wildcard core/*/*.c machine/*.c) tests/support/stream_main.c
MACHINE_BUILD    = $(BUILD)/machine$(if $(COVERAGE),-coverage)
MACHINE_CC       = $(if $(COVERAGE),gcc,clang)
MACHINE_CFLAGS   = -std=gnu11 -g -O1 -Wall -Wextra -Werror -DVMMU_DEBUG -Iinclude -Icore -Imachine \
	$(if $(COVERAGE),--coverage,-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
MACHINE_OBJECTS  = $(MACHINE_SOURCES:%.c=$(MACHINE_BUILD)/%.o)

$(MACHINE_BUILD)/%.o: %.c
	@mkdir -p $(@D)
	@$(MACHINE_CC) $(MACHINE_CFLAGS) -MMD -MP -c $< -o $@

$(MACHINE_BUILD)/vmmu-machine: $(MACHINE_OBJECTS)
	@$(MACHINE_CC) $(MACHINE_CFLAGS) $^ -lpthread -o $@

-include $(MACHINE_OBJECTS:.o=.d)

.PHONY: check-machine
check-machine: $(MACHINE_BUILD)/vmmu-machine ## run random operations on a simulated machine
	@SHADOW=$(SHADOW) FAILURE=$(MACHINE_BUILD)/failure $(MACHINE_BUILD)/vmmu-machine run $(MACHINE_SECONDS) $(SEED)
	$(if $(COVERAGE),@gcovr --root . --filter core/ --object-directory $(MACHINE_BUILD) $(MACHINE_BUILD))
