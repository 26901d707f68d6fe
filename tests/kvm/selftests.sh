# SPDX-License-Identifier: MIT OR GPL-2.0-only
# What commands of selftests.list use; all but vendor_parameters undo themselves when the test ends.

# vendor_parameters MODULE NAME=VALUE...: have the vendor module loaded with these parameters.
vendor_parameters() {
    module=$1
    shift
    loaded=/bed/modules/$module.loaded
    [ -e $loaded ] && [ "$(cat $loaded)" = "$*" ] && return
    rmmod $module && insmod /bed/modules/$module.ko "$@" || exit 1
    echo "$*" > $loaded
}

# hugepages N: reserve N huge pages of 2 MiB.
hugepages() {
    echo $1 > /proc/sys/vm/nr_hugepages
    trap 'echo 0 > /proc/sys/vm/nr_hugepages' EXIT
}

# recover_huge_pages: set KVM up as nx_huge_pages_test wants it, to give huge pages back every 100 ms.
recover_huge_pages() {
    parameters=/sys/module/kvm/parameters
    hugepages 3
    echo force > $parameters/nx_huge_pages
    echo 1 > $parameters/nx_huge_pages_recovery_ratio
    echo 100 > $parameters/nx_huge_pages_recovery_period_ms
    trap 'echo 0 > /proc/sys/vm/nr_hugepages
        echo off > $parameters/nx_huge_pages
        echo 60 > $parameters/nx_huge_pages_recovery_ratio
        echo 0 > $parameters/nx_huge_pages_recovery_period_ms' EXIT
}
