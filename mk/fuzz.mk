# SPDX-License-Identifier: MIT OR GPL-2.0-only
# libFuzzer over the streams' operations and over raw guest tables, from the corpus in tests/fuzz/corpus/.
#
#   make fuzz MINUTES=n             each target for half of the time; finds are kept in build/fuzz/ and not in the tree
#   make fuzz-short                 FUZZ_SECONDS (5) each: part of check-machine
#
# An input that fails is left as build/fuzz/NAME-crash-*; `build/fuzz/NAME FILE` runs it again.

MINUTES      ?= 10
FUZZ_SECONDS ?= 5

FUZZ_TARGETS := stream walk
FUZZ_CFLAGS   = -std=gnu11 -g -O1 -Wall -Wextra -Werror -Wno-unused-function -DVMMU_DEBUG -Iinclude -Icore \
	-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

FUZZ_SOURCES_stream := $(wildcard core/*/*.c machine/*.c) tests/fuzz/stream.c
FUZZ_HOST_stream    := machine
FUZZ_SOURCES_walk   := $(wildcard core/format/*.c core/walk/gwalk*.c tests/support/gmem/*.c) tests/fuzz/walk.c
FUZZ_HOST_walk      := tests/support/gmem

# $(1): target. Each has objects of its own, since each has another host.
define FUZZ_RULES
$$(BUILD)/fuzz/$(1).d/%.o: %.c
	@mkdir -p $$(@D)
	@clang $$(FUZZ_CFLAGS) -I$$(FUZZ_HOST_$(1)) -MMD -MP -c $$< -o $$@

$$(BUILD)/fuzz/$(1): $$(FUZZ_SOURCES_$(1):%.c=$$(BUILD)/fuzz/$(1).d/%.o)
	@clang $$(FUZZ_CFLAGS) -fsanitize=fuzzer $$^ -lpthread -o $$@

-include $$(FUZZ_SOURCES_$(1):%.c=$$(BUILD)/fuzz/$(1).d/%.d)
endef
$(foreach t,$(FUZZ_TARGETS),$(eval $(call FUZZ_RULES,$(t))))

.PHONY: fuzz fuzz-short
fuzz: $(FUZZ_TARGETS:%=$(BUILD)/fuzz/%) ## fuzz operations and guest tables for MINUTES=n
	@tests/fuzz/run $(BUILD)/fuzz $$(( $(MINUTES) * 60 / 2 )) $(FUZZ_TARGETS)

fuzz-short: $(FUZZ_TARGETS:%=$(BUILD)/fuzz/%)
	@tests/fuzz/run $(BUILD)/fuzz $(FUZZ_SECONDS) $(FUZZ_TARGETS)
