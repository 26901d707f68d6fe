# SPDX-License-Identifier: MIT OR GPL-2.0-only
# A kernel that is short of memory takes shadow pages from virtual machines, which go on.

evicted() {
    cat /sys/kernel/debug/kvm/*-*/vmmu 2> /dev/null | awk '/^shadow_pages_evicted / { n += $2 } END { print n + 0 }'
}

most=0
for size in 32M 64M; do
    /selftests/kvm_page_table_test -b $size -v 2 > /dev/null &
    machine=$!
    while kill -0 $machine 2> /dev/null; do
        echo 2 > /proc/sys/vm/drop_caches
        now=$(evicted)
        [ $now -le $most ] || most=$now
    done
    wait $machine || fail "a virtual machine whose shadow pages are taken does not go on"
done
echo "at most $most shadow pages were taken from one"
[ $most -gt 0 ] || fail "no shadow page was taken"
