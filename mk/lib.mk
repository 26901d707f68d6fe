# SPDX-License-Identifier: MIT OR GPL-2.0-only
# The core as a library for user space, and the gates that keep it freestanding and in layers.
#
#   make lib            build/lib/libvmmu.a and build/lib/include/vmmu, bound to the simulated machine
#   make gates    layers, symbols, headers; each gate is first shown something that it must refuse

BUILD ?= build

LIB_CORE     := $(wildcard core/*/*.c)
LIB_MACHINE  := $(filter-out machine/main.c,$(wildcard machine/*.c))
LIB_OBJECTS   = $(patsubst %.c,$(BUILD)/lib/%.o,$(LIB_CORE) $(LIB_MACHINE))
LIB_CFLAGS    = -std=gnu11 -O2 -g -Wall -Wextra -Werror -Iinclude -Icore -Imachine

$(BUILD)/lib/%.o: %.c
	@mkdir -p $(@D)
	@$(CC) $(LIB_CFLAGS) $(if $(filter core/%,$<),-ffreestanding) -MMD -MP -c $< -o $@

$(BUILD)/lib/libvmmu.a: $(LIB_OBJECTS)
	@rm -f $@
	@ar rcs $@ $^
	@mkdir -p $(BUILD)/lib/include/vmmu
	@cp include/vmmu/*.h $(BUILD)/lib/include/vmmu/

-include $(LIB_OBJECTS:.o=.d)

.PHONY: lib gates
lib: $(BUILD)/lib/libvmmu.a ## build the core as a library for user space

gates: $(BUILD)/gates/passed ## check layers, symbols and public headers of the core

$(BUILD)/gates/passed: tests/support/gates.sh $(wildcard include/vmmu/*.h core/*/*.[ch] machine/*.h)
	@tests/support/gates.sh $(BUILD)/gates
	@touch $@

# The gates come first.
check-unit: gates
