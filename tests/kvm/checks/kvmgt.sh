# SPDX-License-Identifier: MIT OR GPL-2.0-only
# The distribution's kvmgt, built against its own KVM, loads on top of ours: symbols and their versions fit.
while read -r module; do
    [ -e /sys/module/$module ] && continue
    reason=$(insmod /kvmgt/$module.ko 2>&1) || fail "$module does not load: $reason"
done < /kvmgt/order
[ -e /sys/module/kvm/holders/kvmgt ] || fail "kvmgt does not use kvm"
rmmod kvmgt || fail "kvmgt does not unload"
