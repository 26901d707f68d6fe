# SPDX-License-Identifier: MIT OR GPL-2.0-only
# The modules load, refuse, unload and load again in any order, and leave nothing behind.

# Prints what the kernel has given out, in KiB.
figures() {
    sync
    echo 3 > /proc/sys/vm/drop_caches
    sleep 1
    sed -nE 's/^(SUnreclaim|SecPageTables|Percpu): *([0-9]+) kB/\1 \2/p' /proc/meminfo
}

# expect_within NAME KIB: a figure has grown by no more since the figures in ./before.
expect_within() {
    before=$(sed -n "s/^$1 //p" before)
    after=$(sed -n "s/^$1 //p" after)
    echo "$1: $before KiB before, $after KiB after $rounds rounds"
    [ $((after - before)) -le $2 ] || fail "$1 has grown by $((after - before)) KiB"
}

expect_no_traces() {
    left=$(ls /sys/kernel/slab | grep -E '^(kvm|pte_list_desc|x86_emulator)')
    [ -z "$left" ] || fail "slabs are left: $left"
    ! ps | grep -q '[k]vm-nx-lpage' || fail "a thread is left"
}

round() {
    load kvm || fail "kvm does not load"
    load $other && fail "$other loads on a processor of another vendor"
    load $vendor || fail "$vendor does not load"
    load $vendor && fail "$vendor loads twice"
    load $other && fail "$other loads beside $vendor"
    unload kvm && fail "kvm unloads while $vendor needs it"
    run_vm
    unload $vendor || fail "$vendor does not unload after a virtual machine has gone"
    load $vendor || fail "$vendor does not load again"
    [ $(($1 % 2)) = 0 ] || run_vm
    unload $vendor || fail "$vendor does not unload again"
    unload kvm || fail "kvm does not unload"
    expect_no_traces
}

load ccp # kvm_amd needs it
unload $vendor
unload kvm
# The first rounds may leave caches of the kernel's behind.
round 0
round 1
figures > before
for number in $(seq $rounds); do
    round $number
done
figures > after
expect_within SecPageTables 0
expect_within Percpu 64
expect_within SUnreclaim 1024
