# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Runs QEMU ("$@") with a kernel that has marks, as lib/mark.h tells, and says what the counters of KVM made between each
# two: a line "counted NAME KEY DIFFERENCE..." for each. Leaves QEMU's status in $status.
folder=/sys/kernel/debug/kvm
shown='exits nested_run pf_taken pf_fixed pf_emulate pf_spurious mmu_cache_miss remote_tlb_flush'

take_sample() {
    number=$((number + 1))
    echo "$number sample $1"
    for vm in $folder/*-*; do
        for key in $shown; do
            read -r value < $vm/$key
            echo "$number counter kvm.$key $value"
        done
        [ -e $vm/vmmu ] || continue
        while read -r key value; do
            echo "$number counter $key $value"
        done < $vm/vmmu
    done
}

mkfifo answer.in answer.out
{ "$@" -serial pipe:answer < /dev/null; echo $? > status; } | {
    number=0
    while read -r line; do
        case $line in
        '@@mark '*)
            take_sample ${line#@@mark } >> samples
            echo -n . > answer.in
            ;;
        *) echo "$line" ;;
        esac
    done
}
read -r status < status

# Differences of one sample to the next. With our KVM: while nothing changes, no root is built and nothing faults. Only
# shown: more guests than the cache has roots, and roots that the hypervisor's own use of the tables takes away. A number of
# guests by turns in one setting has a line of its own, in which a figure that the module does not count is a dash.
awk -v shown='^(cold|alone|together|rotate[.]32|host-tables)' '
$2 == "sample" { name[$1] = $3; last = $1 }
$2 == "counter" { value[$1, $3] = $4; if (!($3 in known)) { known[$3] = 1; key[++keys] = $3 } }
function made(i, k) { return value[i + 1, k] - value[i, k] }
END {
    for (i = 1; i < last; i++) {
        if (name[i] ~ /\.end$/ || name[i] == "ready")
            continue
        line = "counted " name[i]
        for (k = 1; k <= keys; k++)
            if (made(i, key[k]) != 0)
                line = line " " key[k] " " made(i, key[k])
        print line
        if (split(name[i], part, ".") == 3 && part[3] == "begin")
            print "switches " made(i, "kvm.nested_run") " contexts " part[2] \
                " roots_built " ("roots_built" in known ? made(i, "roots_built") : "-") " faults " made(i, "kvm.pf_taken")
        if (!("faults" in known) || name[i] !~ /\.begin$/ || name[i] ~ shown)
            continue
        built = made(i, "roots_built")
        faults = made(i, "faults")
        wrong = wrong || built || faults
        print (built || faults ? "not ok " : "ok ") name[i] ": " built " roots built and " faults " faults"
    }
    exit wrong
}' samples || status=3
