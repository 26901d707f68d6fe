# SPDX-License-Identifier: MIT OR GPL-2.0-only
# How fast vCPUs fault, alone and beside each other, and beside a model of stock KVM's locking: tests/bench/bench.c.
# Takes BENCH_SECONDS and a little at most, less on a machine that is otherwise idle; WORD=shadow for lines with that word
# only. BENCH_EXIT_NS: what each exit of a guest costs beside, as the switch between worlds does on a processor.

BUILD         ?= build
BENCH_SECONDS ?= 30
BENCH_EXIT_NS ?= 0

BENCH_SOURCES := $(wildcard core/*/*.c) $(wildcard tests/bench/*.c)
BENCH_CFLAGS   = -std=gnu11 -g -O2 -Wall -Wextra -Werror -Iinclude -Icore -Itests/bench/host
BENCH_OBJECTS  = $(BENCH_SOURCES:%.c=$(BUILD)/bench/%.o)

$(BUILD)/bench/%.o: %.c
	@mkdir -p $(@D)
	@$(CC) $(BENCH_CFLAGS) -MMD -MP -c $< -o $@

$(BUILD)/bench/bench: $(BENCH_OBJECTS)
	@$(CC) $^ -lpthread -o $@

-include $(BENCH_OBJECTS:.o=.d)

.PHONY: bench
bench: $(BUILD)/bench/bench ## print how fast faults are served, and how much faster by two vCPUs at once
	@$< $(BENCH_SECONDS) $(BENCH_EXIT_NS) $(WORD)
