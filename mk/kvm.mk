# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# make kvm: Debian's KVM with vmmu in place of its MMU, as build/kvm/{kvm,kvm-amd,kvm-intel}.ko
#
# Everything but the MMU is the distribution's source, unmodified; kvm/overlay/ says how the two are put
# together. With VMMU_DEBUG=1 the MMU checks itself at run time.

KERNEL_HEADERS ?= $(lastword $(shell ls -d /usr/src/linux-headers-6.1.0-*[0-9]-amd64 | sort -V))
KERNEL_SOURCE ?= /usr/src/linux-source-6.1.tar.xz

KVM_TREE := $(BUILD)/linux-source-6.1
KVM_DIR := $(KVM_TREE)/arch/x86/kvm
KVM_MODULES := $(patsubst %,$(BUILD)/kvm/%.ko,kvm kvm-amd kvm-intel)

KVM_INPUTS := $(shell find core include kvm -name '*.[ch]') kvm/overlay/Kbuild
KVM_MAKE = $(MAKE) -C $(KERNEL_HEADERS) M=$(abspath $(KVM_DIR)) VMMU=$(CURDIR) VMMU_DEBUG=$(VMMU_DEBUG) W=$(W)

.PHONY: kvm
kvm: $(KVM_MODULES)

# The modules that kbuild leaves in the tree keep their debugging information, for gdb.
$(KVM_MODULES) &: $(KVM_INPUTS) $(KVM_TREE)/.unpacked $(BUILD)/kvm/options
	+$(KVM_MAKE) modules
	for ko in $(notdir $(KVM_MODULES)); do strip -g -o $(BUILD)/kvm/$$ko $(KVM_DIR)/$$ko || exit; done

# Of the MMU only the definition of its tracepoints is kept: tools know them.
$(KVM_TREE)/.unpacked: $(KERNEL_SOURCE) mk/kvm.mk
	mkdir -p $(BUILD)
	rm -rf $(KVM_TREE)
	tar -xJf $< -C $(BUILD) linux-source-6.1/arch/x86/kvm linux-source-6.1/virt/kvm
	find $(KVM_DIR)/mmu -type f ! -name mmutrace.h -delete
	ln -s $(CURDIR)/kvm/overlay/mmu_internal.h $(KVM_DIR)/mmu/
	ln -s $(CURDIR)/kvm/overlay/Kbuild $(KVM_DIR)/
	touch $@

# What changes the modules without changing a source, in a file that is touched only when it differs.
$(BUILD)/kvm/options: FORCE
	@mkdir -p $(@D)
	@echo '$(KERNEL_HEADERS) VMMU_DEBUG=$(VMMU_DEBUG) $(KVM_INPUTS)' | cmp -s - $@ || \
		echo '$(KERNEL_HEADERS) VMMU_DEBUG=$(VMMU_DEBUG) $(KVM_INPUTS)' > $@
