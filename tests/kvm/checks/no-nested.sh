# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Nested virtualization is off whatever is asked for, and one message says so if it was asked for.
for asked in '' nested=1; do
    unload $vendor
    dmesg -c > /dev/null
    load $vendor $asked || fail "$vendor does not load with '$asked'"
    [ $(heard "nested virtualization is not available yet") = 1 ] || fail "no message, or more than one, with '$asked'"
    grep -q '^[0N]' /sys/module/$vendor/parameters/nested || fail "nested is on with '$asked'"
done
unload $vendor
dmesg -c > /dev/null
load $vendor nested=0 || fail "$vendor does not load with nested=0"
[ $(heard "nested") = 0 ] || fail "there is a message with nested=0"
run_vm
