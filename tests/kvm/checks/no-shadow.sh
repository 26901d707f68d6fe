# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Running without nested paging is refused with one message, and harms nothing.
unload $vendor
dmesg -c > /dev/null
load $vendor $paging=0 && fail "$vendor loads with $paging=0"
# The insmod of busybox tries twice what is refused.
[ $(heard "running without nested paging is not available yet") = 2 ] || fail "not one message for each try"
load $vendor || fail "$vendor does not load after it was refused"
[ $(heard "running without") = 0 ] || fail "there is a message without a reason"
[ $(cat /sys/module/$vendor/parameters/$paging) = Y ] || fail "$paging is off"
run_vm
