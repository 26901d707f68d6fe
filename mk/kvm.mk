# SPDX-License-Identifier: MIT OR GPL-2.0-only
# make kvm: Debian's KVM with vmmu in place of its MMU, as build/kvm/{kvm,kvm-amd,kvm-intel}.ko
#
# Everything but the MMU is the distribution's source, unmodified; kvm/overlay/ says how the two are put
# together. VMMU_DEBUG=1 makes the MMU check itself at run time, W=1 makes the compiler stricter.

KVM_TREE    := $(BUILD)/linux-source-6.1
KVM_DIR     := $(KVM_TREE)/arch/x86/kvm
KVM_MODULES := $(patsubst %,$(BUILD)/kvm/%.ko,kvm kvm-amd kvm-intel)
KVM_SOURCES := $(sort $(shell find core include kvm -name '*.[ch]')) kvm/overlay/Kbuild

# What changes the modules without changing a source.
KVM_OPTIONS = $(KREL) VMMU_DEBUG=$(VMMU_DEBUG) W=$(W) $(KVM_SOURCES)

.PHONY: kvm FORCE
kvm: $(KVM_MODULES) ## build Debian's KVM with our MMU (VMMU_DEBUG=1: it checks itself)

# The modules that stay in the source tree keep their debugging information, for gdb.
$(KVM_MODULES) &: $(KVM_SOURCES) $(KVM_TREE)/.unpacked $(BUILD)/kvm/options
	+$(MAKE) -C $(KHEADERS) M=$(abspath $(KVM_DIR)) VMMU=$(CURDIR) VMMU_DEBUG=$(VMMU_DEBUG) W=$(W) modules
	for module in $(notdir $(KVM_MODULES)); do \
		strip -g -o $(BUILD)/kvm/$$module $(KVM_DIR)/$$module || exit; done

# Of the MMU two files are kept: the definition of its tracepoints, which tools know, and one header for
# kvm/overlay/symbol_versions.h.
$(KVM_TREE)/.unpacked: $(KSOURCE) mk/kvm.mk
	rm -rf $(KVM_TREE)
	mkdir -p $(BUILD)
	tar -xJf $< -C $(BUILD) linux-source-6.1/arch/x86/kvm linux-source-6.1/virt/kvm
	mv $(KVM_DIR)/mmu/mmu_internal.h $(KVM_DIR)/mmu/stock_mmu_internal.h
	find $(KVM_DIR)/mmu -type f ! -name mmutrace.h ! -name stock_mmu_internal.h -delete
	ln -s $(CURDIR)/kvm/overlay/mmu_internal.h $(KVM_DIR)/mmu/
	ln -s $(CURDIR)/kvm/overlay/Kbuild $(KVM_DIR)/
	touch $@

# Written only when it differs.
$(BUILD)/kvm/options: FORCE
	@mkdir -p $(@D)
	@echo '$(KVM_OPTIONS)' | cmp -s - $@ || echo '$(KVM_OPTIONS)' > $@

$(KSOURCE):
	@echo "$@ is missing: run make deps" >&2; false
