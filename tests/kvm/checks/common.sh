# SPDX-License-Identifier: MIT OR GPL-2.0-only
# For the checks beside this file. Set in front of each: vendor and other, the vendor module that fits the host and the one
# that does not; paging, the name of its parameter for nested paging; rounds, how often to repeat what is repeated.

fail() {
    echo "$*"
    dmesg | tail -n 5
    exit 1
}

load() {
    module=$1
    shift
    insmod /bed/modules/$module.ko "$@" 2> /dev/null
}

unload() {
    rmmod $1 2> /dev/null
}

# A small virtual machine comes, works and goes.
run_vm() {
    /selftests/kvm_page_table_test -b 8M -v 1 > /dev/null || fail "a virtual machine does not run"
}

# How often the kernel's log since the last look has a line of ours with this text.
heard() {
    dmesg -c | grep -c "$vendor: vmmu: .*$1"
}

# Whatever happens here, what comes next finds the modules loaded.
trap 'load kvm; load $vendor' EXIT
