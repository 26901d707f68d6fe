# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Variables that every fragment may use. BUILD holds outputs only.

BUILD  ?= build
PYTHON ?= python3
V      ?= 0

# The kernel that hosts and guests boot, and that modules are built for: the newest whose headers are installed.
# Recursive, so that a recipe sees what `make deps` has just installed.
KREL     = $(patsubst /usr/src/linux-headers-%,%,$(lastword $(shell ls -d /usr/src/linux-headers-6.1.0-*-amd64 2> /dev/null | sort -V)))
KHEADERS = /usr/src/linux-headers-$(KREL)
KSOURCE  = /usr/src/linux-source-6.1.tar.xz

# Debian's kernel package, unpacked and never installed: boot/vmlinuz-$(KREL), lib/modules/$(KREL), release.
KERNEL_DIR = $(BUILD)/kernel
# Those of i386, for guests.
KERNEL32_DIR = $(BUILD)/kernel32

export BUILD PYTHON V
