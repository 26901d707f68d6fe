# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Threads that do everything at once to one simulated VM, under the thread sanitizer.
#
#   make check-race                 for RACE_SECONDS (45)

BUILD        ?= build
RACE_SECONDS ?= 45

RACE_SOURCES := $(wildcard core/*/*.c machine/*.c) tests/race/race.c
RACE_CFLAGS   = -std=gnu11 -g -O1 -Wall -Wextra -Werror -DVMMU_DEBUG -Iinclude -Icore -Imachine -fsanitize=thread
RACE_OBJECTS  = $(RACE_SOURCES:%.c=$(BUILD)/race/%.o)

$(BUILD)/race/%.o: %.c
	@mkdir -p $(@D)
	@clang $(RACE_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/race/race: $(RACE_OBJECTS)
	@clang $(RACE_CFLAGS) $^ -lpthread -o $@

-include $(RACE_OBJECTS:.o=.d)

.PHONY: check-race
check-race: $(BUILD)/race/race ## run threads against each other on a simulated machine
	@TSAN_OPTIONS="halt_on_error=1 $$TSAN_OPTIONS" $< $(RACE_SECONDS) || { echo "0 passed, 1 failed, 0 skipped"; exit 1; }
