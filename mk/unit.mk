# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Unit tests: every tests/unit/*/test_*.c is one cmocka program, built with gcc and again with clang's address and
# undefined-behaviour sanitizers, linked with the core as its test host binds it.
#
#   make check-unit               run all; the last line is `N passed, N failed, N skipped`
#   make check-unit UNIT=walk     only programs whose path contains the word
#
# A comment line `host: NAME` in a test chooses the host; without one it is `machine`. Host `gmem`
# (tests/support/gmem) binds the services of guest walks only, so only core/format and core/walk/gwalk* go with it.

BUILD ?= build
UNIT  ?=

UNIT_TESTS  := $(filter $(if $(UNIT),$(foreach u,$(UNIT),$(foreach t,$(wildcard tests/unit/*/test_*.c),$(if $(findstring $(u),$(t)),$(t)))),%),$(wildcard tests/unit/*/test_*.c))
unit_host    = $(or $(shell sed -n 's|^.*[/* ]host: *\([a-z_]*\).*$$|\1|p;20q' $(1) | head -n 1),machine)

UNIT_CORE_gmem    := $(wildcard core/format/*.c core/walk/gwalk*.c tests/support/gmem/*.c)
UNIT_INC_gmem     := tests/support/gmem
UNIT_CFLAGS_gmem  := -Wno-unused-function
UNIT_CORE_machine := $(wildcard core/*/*.c) $(filter-out machine/main.c,$(wildcard machine/*.c))
UNIT_INC_machine  := machine

UNIT_FLAGS       = -std=gnu11 -g -Wall -Wextra -Werror -Iinclude -Icore
UNIT_CC_gcc     := gcc
UNIT_OPT_gcc    := -O2
UNIT_CC_clang   := clang
UNIT_OPT_clang  := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
UNIT_COMPILERS  := gcc clang
UNIT_HOSTS      := $(sort $(foreach t,$(UNIT_TESTS),$(call unit_host,$(t))))

# $(1) compiler, $(2) host: the core and the host as one archive.
define UNIT_CORE_RULES
build/unit/$(1)/$(2)/%.o: %.c
	@mkdir -p $$(@D)
	@$$(UNIT_CC_$(1)) $$(UNIT_FLAGS) $$(UNIT_OPT_$(1)) -I$$(UNIT_INC_$(2)) $$(UNIT_CFLAGS_$(2)) -MMD -MP -c $$< -o $$@

build/unit/$(1)/$(2)/core.a: $(patsubst %.c,build/unit/$(1)/$(2)/%.o,$(UNIT_CORE_$(2)))
	@rm -f $$@
	@ar rcs $$@ $$^
endef

# $(1) compiler, $(2) test source, $(3) host.
define UNIT_TEST_RULES
UNIT_PROGRAMS += $(patsubst tests/unit/%.c,build/unit/$(1)/%,$(2))
$(patsubst tests/unit/%.c,build/unit/$(1)/%,$(2)): build/unit/$(1)/$(3)/$(2:.c=.o) build/unit/$(1)/$(3)/core.a
	@mkdir -p $$(@D)
	@$$(UNIT_CC_$(1)) $$(UNIT_OPT_$(1)) $$^ -lcmocka -lpthread -o $$@
endef

$(foreach c,$(UNIT_COMPILERS),$(foreach h,$(UNIT_HOSTS),$(eval $(subst build/unit,$(BUILD)/unit,$(call UNIT_CORE_RULES,$(c),$(h))))))
$(foreach c,$(UNIT_COMPILERS),$(foreach t,$(UNIT_TESTS),$(eval $(subst build/unit,$(BUILD)/unit,$(call UNIT_TEST_RULES,$(c),$(t),$(call unit_host,$(t)))))))

-include $(wildcard $(BUILD)/unit/*/*/*/*.d $(BUILD)/unit/*/*/*/*/*.d $(BUILD)/unit/*/*/*/*/*/*.d)

.PHONY: check-unit
check-unit: $(UNIT_PROGRAMS)
	@tests/unit/run $(UNIT_PROGRAMS)
