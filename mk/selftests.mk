# SPDX-License-Identifier: MIT OR GPL-2.0-only
#
# make selftests: the kernel's own tests of KVM, from the distribution's source, as build/selftests/
#
# They are linked statically, so that a host needs no libraries to run them.

SELFTESTS_TREE := $(BUILD)/selftests-source/linux-source-6.1
SELFTESTS := $(BUILD)/selftests
SELFTESTS_BUILT := $(SELFTESTS)/.built

# What the build of one folder of the tree needs, beside the folder.
SELFTESTS_UNPACK := $(addprefix linux-source-6.1/,Makefile Kbuild scripts include arch/x86 tools)

# dirty_log_test and steal_time use two macros that the 6.1 tree does not define for them.
SELFTESTS_CFLAGS := -w -DTEST_ASSERT_EQ=ASSERT_EQ -D'__DECLARE_FLEX_ARRAY(T,N)=T N[0]'

.PHONY: selftests
selftests: $(SELFTESTS_BUILT) ## build the KVM selftests

$(SELFTESTS_BUILT): $(SELFTESTS_TREE)/.headers mk/selftests.mk
	+$(MAKE) -s -C $(SELFTESTS_TREE)/tools/testing/selftests/kvm OUTPUT=$(abspath $(SELFTESTS)) \
		LINUX_HDR_PATH=$(abspath $(SELFTESTS_TREE))/usr/include/ LDFLAGS='-static -pthread -no-pie' \
		EXTRA_CFLAGS="$(SELFTESTS_CFLAGS)"
	find $(SELFTESTS) -type f -perm -u+x -exec strip {} +
	touch $@

$(SELFTESTS_TREE)/.headers: $(SELFTESTS_TREE)/.unpacked
	+$(MAKE) -s -C $(SELFTESTS_TREE) headers_install
	touch $@

$(SELFTESTS_TREE)/.unpacked: $(KSOURCE)
	rm -rf $(SELFTESTS_TREE)
	mkdir -p $(dir $(SELFTESTS_TREE))
	tar -xJf $< -C $(dir $(SELFTESTS_TREE)) $(SELFTESTS_UNPACK)
	touch $@
