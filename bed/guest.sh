# SPDX-License-Identifier: MIT OR GPL-2.0-only
# For jobs that run guests: a host's shell sources this. A guest has a name without spaces; QMP is QEMU's control
# channel, one JSON object a line.

# guest_start NAME QEMU-ARGUMENT...: start a guest and relay its console, each line as "NAME UPTIME LINE". It stays
# there, halted, when the guest powers off or resets, so that its figures can be read.
guest_start() {
    guest=$1
    shift
    mkfifo /run/$guest.in /run/$guest.out /run/$guest.console
    relay $guest < /run/$guest.console &
    echo $! > /run/$guest.jobs
    read -r started idle < /proc/uptime
    echo "@@note $guest.started $started"
    run_qemu $guest "$@" > /run/$guest.console 2>&1 < /dev/null &
    echo $! >> /run/$guest.jobs
    # What is written before QEMU has opened its pipe is lost: wait for its greeting.
    guest_await $guest '"QMP"' && guest_tell $guest '{"execute":"qmp_capabilities"}'
}

run_qemu() {
    guest=$1
    shift
    qemu-system-x86_64 -L /usr/share/qemu -accel kvm -cpu host -nodefaults -display none \
        -no-reboot -no-shutdown -qmp pipe:/run/$guest -serial stdio "$@" &
    echo $! > /run/$guest.pid
    wait $!
    touch /run/$guest.gone
    echo 'gone' 1<> /run/$guest.out
}

relay() {
    while IFS= read -r line; do
        read -r uptime idle < /proc/uptime
        echo "$line" >&3
        echo "$1 $uptime $line"
    done 3> /run/$1.log
}

# guest_await NAME TEXT: read from QMP until a line holds the text, and leave it in $reply. Status 1: QEMU has ended.
guest_await() {
    # Opened both ways, a pipe does not wait for the other end. The end of QEMU wakes a reader that missed the file.
    while [ ! -e /run/$1.gone ] && read -r reply; do
        case $reply in *"$2"*) return 0 ;; esac
    done 0<> /run/$1.out
    read -r gone idle < /proc/uptime
    echo "@@note $1.gone $gone"
    return 1
}

# guest_tell NAME JSON: give a command; its answer is left in $reply. Status 1: QEMU has ended.
guest_tell() {
    echo "$2" 1<> /run/$1.in
    guest_await $1 '"return"'
}

# guest_await_halt NAME: wait until the guest runs no more, for whatever reason, and note when that was.
guest_await_halt() {
    guest_await $1 '"STOP"' || return 1
    read -r halted idle < /proc/uptime
    echo "@@note $1.halted $halted"
}

# guest_await_line NAME TEXT: wait until the guest has said this on its console.
guest_await_line() {
    until grep -qF "$2" /run/$1.log; do
        [ ! -e /run/$1.gone ] || return 1
        sleep 0.2
    done
}

# guest_passed NAME: status 0 if the guest ran all its jobs, with success, and its kernel did not complain.
guest_passed() {
    grep -q '^@@bed stop' /run/$1.log || return 1
    ! grep -v '^@@bed end [0-9]* 0 ' /run/$1.log | grep -qE '^@@bed (end|kernel|module-failed)'
}

# guest_events: have L0's kernel count, from now on and for all guests, what KVM tells by tracepoints alone: exits of
# nested guests, and of them those that L1 hears of; root tables made and found. guest_figures() notes them. Modules
# whose events are counted cannot be unloaded.
guest_events() {
    events=/sys/kernel/debug/tracing/events
    guest_event kvm/kvm_nested_vmexit hist:keys=exit_reason
    guest_event kvm/kvm_nested_vmexit_inject hist:keys=exit_code
    # The lowest bits of the role are the level: no page below 4 levels has this one.
    guest_event kvmmmu/kvm_mmu_get_page 'hist:keys=created,role if role & 4'
}

guest_event() {
    echo "!$2" > $events/$1/trigger 2> /dev/null
    echo "$2" > $events/$1/trigger
}

# guest_event_figures NAME: see guest_events(). A line of a histogram is "{ KEY: VALUE, ... } hitcount: N".
guest_event_figures() {
    for event in kvm_nested_vmexit kvm_nested_vmexit_inject; do
        sed -n 's/^{ exit_[a-z]*: *\([0-9]*\) } hitcount: */\1 /p' $events/kvm/$event/hist |
        while read -r code count; do
            echo "@@note $1.$event.$code $count"
        done
    done
    sed -n 's/^{ created: *\(.\), role: *\([0-9]*\) } hitcount: */\1 \2 /p' $events/kvmmmu/kvm_mmu_get_page/hist |
    while read -r created role count; do
        echo "@@note $1.kvm_mmu_get_page.$((role & 15)).$created.$role $count"
    done
}

# guest_figures NAME: note what KVM counted for the guest, as "NAME.kvm.COUNTER", what the module's own file says, as
# "NAME.vmmu.COUNTER", and what guest_events() counts, as "NAME.EVENT.KEY...".
guest_figures() {
    read -r pid < /run/$1.pid
    for file in /sys/kernel/debug/kvm/$pid-*/*; do
        case $file in
        */vmmu)
            while read -r key value; do
                echo "@@note $1.vmmu.$key $value"
            done < $file
            ;;
        *)
            [ -f $file ] && read -r value rest < $file || continue
            case $value$rest in '' | *[!0-9]*) ;; *) echo "@@note $1.kvm.${file##*/} $value" ;; esac
            ;;
        esac
    done
    [ -z "$events" ] || guest_event_figures $1
}

# guest_end NAME: end the guest and what belongs to it; the relay has then said all.
guest_end() {
    read -r pid < /run/$1.pid
    kill $pid
    wait $(cat /run/$1.jobs)
    rm -f /run/$1.*
}

# kvm_must_be vmmu|stock: end the job unless this is the KVM that is loaded.
kvm_must_be() {
    loaded=stock
    [ -e /sys/module/kvm/parameters/vmmu ] && loaded=vmmu
    [ $loaded = $1 ] && return
    echo "the KVM that is loaded is $loaded, not $1"
    exit 1
}
