# SPDX-License-Identifier: MIT OR GPL-2.0-only
# make deps: what the rest needs, from Debian 12 alone. Each target takes its own groups; a group that is there costs
# one dpkg-query.

DEPS_BUILD  = make gcc libc6-dev binutils python3
DEPS_KVM    = linux-source-6.1 linux-headers-amd64 xz-utils bc flex bison libelf-dev libssl-dev rsync cpio
DEPS_HOST   = busybox-static qemu-system-x86
DEPS_INTEL  = bochs bochs-term bochsbios vgabios grub-pc-bin grub-common xorriso mtools
DEPS_32     = gcc-multilib
DEPS_UNIT   = clang libclang-rt-14-dev libcmocka-dev liburcu-dev
DEPS_GATES  = clang-format clang-tidy cppcheck codespell gcovr
DEPS_REPORT = gnuplot-nox graphviz

# What `make run` needs, and the kernel; what the rest needs beside that.
DEPS_FOR_RUN   = $(DEPS_BUILD) $(DEPS_KVM) $(DEPS_HOST)
DEPS_FOR_CHECK = $(DEPS_FOR_RUN) $(DEPS_INTEL) $(DEPS_32) $(DEPS_UNIT) $(DEPS_GATES) $(DEPS_REPORT)

.PHONY: deps deps-run deps-unit
deps: ## install every Debian package that is needed, and unpack the kernels for the test bed
	@mk/deps.sh packages $(DEPS_FOR_CHECK)
	@mk/deps.sh kernel $(KERNEL_DIR)
	@mk/deps.sh kernel32 $(KERNEL32_DIR)

deps-run:
	@mk/deps.sh packages $(DEPS_FOR_RUN)
	@mk/deps.sh kernel $(KERNEL_DIR)

deps-unit:
	@mk/deps.sh packages $(DEPS_BUILD) $(DEPS_UNIT)
