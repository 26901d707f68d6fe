# SPDX-License-Identifier: MIT OR GPL-2.0-only
# For jobs that run a hypervisor of our own, tests/guests/svm or tests/guests/vmx, as L1. After guest.sh.

# hypervisor_run WORDS [QEMU-ARGUMENT...]: run it with these words on its command line. With "marks" among them it says
# "@@mark NAME" now and then: what KVM has counted for it is noted, as guest_figures() does, and it goes on. Status 0:
# it says that it passed.
hypervisor_run() {
    mkfifo /run/hypervisor.in /run/hypervisor.out
    # Opened both ways, a pipe does not wait for the other end.
    exec 5<> /run/hypervisor.in 6<> /run/hypervisor.out
    hypervisor_time started
    hypervisor_qemu "$@" 2>&1 | while IFS= read -r line; do
        echo "$line"
        case $line in
        '@@mark '*)
            mark=${line#@@mark }
            [ $mark = ready ] && hypervisor_time ready
            ln /run/hypervisor.pid /run/$mark.pid
            guest_figures $mark
            hypervisor_counted > counted.$mark
            printf g >&5
            case $mark in *.*.end) hypervisor_turns ${mark%.end} ;; esac
            ;;
        'not ok '*) echo "$line" >> wrong ;;
        '@@exit 1') exit 0 ;;
        '@@exit 5') exit 4 ;;
        '@@exit '*) exit 1 ;;
        esac
    done
    status=$?
    hypervisor_time halted
    # Once more, where they are seen.
    [ -e wrong ] && cat wrong
    return $status
}

hypervisor_qemu() {
    words=$1
    shift
    qemu-system-x86_64 -L /usr/share/qemu -accel kvm -cpu host -m 128 -nodefaults -display none -no-reboot \
        -device isa-debug-exit,iobase=0xf4,iosize=4 -debugcon stdio -serial pipe:/run/hypervisor \
        -kernel /guest/hypervisor -append "$words" "$@" < /dev/null &
    echo $! > /run/hypervisor.pid
    wait $!
    echo "@@exit $?"
}

hypervisor_time() {
    read -r now idle < /proc/uptime
    echo "@@note hypervisor.$1 $now"
}

# hypervisor_counted: entries into L2 and faults as KVM counts them, then all that our module's own file says.
hypervisor_counted() {
    for vm in /sys/kernel/debug/kvm/$(cat /run/hypervisor.pid)-*; do
        for key in nested_run pf_taken; do
            read -r value < $vm/$key
            echo "$key $value"
        done
        [ ! -e $vm/vmmu ] || cat $vm/vmmu
    done
}

# hypervisor_turns KIND.CONTEXTS: say what turns of that many contexts made L0 count. A figure that the module does not
# count is a dash; the usual kind of contexts goes without saying.
hypervisor_turns() {
    awk -v kind=${1%.*} -v contexts=${1##*.} '
    FNR == 1 { file++ }
    { value[file, $1] = $2 }
    function made(key) { return (2, key) in value ? value[2, key] - value[1, key] : "-" }
    END {
        print (kind == "rotate" ? "" : kind ": ") "switches " made("nested_run") " contexts " contexts \
            " roots_built " made("roots_built") " faults " made("pf_taken")
    }' counted.$1.begin counted.$1.end
}

# hypervisor_switches_are_free: status 0 unless our KVM built a root or took a fault while warm contexts took turns.
hypervisor_switches_are_free() {
    for before in counted.*.*.begin; do
        [ -e $before ] || continue
        after=${before%begin}end
        for key in roots_built faults; do
            if [ "$(grep "^$key " $before)" != "$(grep "^$key " $after)" ]; then
                echo "warm contexts cost: $(grep -H "^$key " $before $after | tr '\n' ' ')"
                costly=1
            fi
        done
    done
    [ -z "$costly" ]
}

# hypervisor_run_disturbed WORDS: the same with a quota of 256 shadow pages, while its memory is taken away all the time, and
# given back as it is touched: to look for pages that were written since (soft-dirty) is to unmap all of them.
hypervisor_run_disturbed() {
    hypervisor_run "$1" -machine kvm-shadow-mem=1048576 &
    runner=$!
    disturbed=0
    until [ -e /run/hypervisor.pid ]; do sleep 0.1; done
    read -r pid < /run/hypervisor.pid
    while echo 4 > /proc/$pid/clear_refs; do
        disturbed=$((disturbed + 1))
        sleep 0.1
    done 2> /dev/null
    echo "disturbed $disturbed times"
    wait $runner && [ $disturbed -gt 20 ]
}
