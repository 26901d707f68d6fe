# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Prints, a line each, what tools and administrators can see of KVM: parameters with their defaults, tracepoints with their
# formats, debugfs with its statistics, slabs, the shrinker and the thread of a virtual machine.

# In a freshly loaded KVM, so that defaults are defaults.
unload $vendor
unload kvm
load kvm && load $vendor || fail "the modules do not load"

for module in kvm $vendor; do
    for path in /sys/module/$module/parameters/*; do
        echo "surface parameter $module/${path##*/} $(stat -c %a $path)"
        echo "surface default $module/${path##*/} $(cat $path)"
    done
done

cd /sys/kernel/debug/tracing/events
for event in kvmmmu/*/ kvm/*/; do
    echo "surface tracepoint ${event%/} $(grep -v '^ID:' $event/format | md5sum | cut -d' ' -f1)"
done

/selftests/kvm_page_table_test -b 64M -v 1 > /dev/null &
vm=$!
until ls -d /sys/kernel/debug/kvm/$vm-*/vcpu0 > /dev/null 2>&1; do
    kill -0 $vm || fail "the virtual machine has gone too early"
done
# The thread and the first entries take a moment.
usleep 300000
(cd /sys/kernel/debug/kvm/$vm-* && find . -type f) | sed 's,^\./,surface debugfs vm/,'
ps | sed -nE 's/.*(kvm-nx-lpage-re).*/surface thread \1/p'
kill -0 $vm || fail "the virtual machine has gone too early"
find /sys/kernel/debug/kvm -maxdepth 1 -type f | sed 's,.*/,surface debugfs ,'
ls /sys/kernel/slab | sed -nE 's/^(kvm|pte_list_desc|x86_emulator)/surface slab &/p'
ls /sys/kernel/debug/shrinker 2> /dev/null | sed -nE 's/^(x86-mmu)-.*/surface shrinker \1/p'
kill $vm
wait $vm || true
