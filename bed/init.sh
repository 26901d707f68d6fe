#!/bin/busybox sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# The first process of hosts and guests alike: load the modules, run the jobs, power off.
# It speaks to bed/session.py in lines that start with "@@bed" on the console:
#   ready UPTIME                    user space is up and the modules are loaded
#   module-failed NAME: REASON      and the machine powers off
#   begin JOB UPTIME, end JOB STATUS UPTIME      STATUS is an exit status or "late"
#   kernel LINE                     what the kernel complained about during the job that just ended
#   stop UPTIME                     no job is left
/bin/busybox --install -s /bin
export PATH=/bin:/sbin:/usr/bin HOME=/root

complaint='WARNING:|BUG:|Oops|general protection fault|soft lockup|INFO: rcu|INFO: task .* blocked'

say() {
    echo "@@bed $*"
}

now() {
    cut -d' ' -f1 /proc/uptime
}

mount_all() {
    mount -t proc none /proc
    mount -t sysfs none /sys
    mount -t devtmpfs none /dev
    mkdir -p /dev/shm /dev/pts /dev/hugepages
    mount -t devpts none /dev/pts
    mount -t tmpfs none /dev/shm
    mount -t tmpfs none /tmp
    mount -t tmpfs none /run
    mount -t hugetlbfs none /dev/hugepages 2> /dev/null
    mount -t debugfs none /sys/kernel/debug
}

load_modules() {
    while read -r module parameters; do
        # Unquoted: every parameter is an argument.
        reason=$(insmod /bed/modules/$module.ko $parameters 2>&1) && continue
        dmesg | tail -n 30
        say "module-failed $module: ${reason##*: }"
        poweroff -f
    done < /bed/modules/order
}

run_job() {
    read -r limit < /bed/jobs/$1/limit
    rm -rf /run/* /tmp/*
    mkdir /tmp/job
    cd /tmp/job
    say begin $1 $(now)
    setsid sh /bed/jobs/$1/run < /dev/null 2>&1 &
    job=$!
    setsid sh -c "sleep $limit; touch /run/late; kill -KILL -$job" &
    alarm=$!
    wait $job
    status=$?
    ended=$(now)
    [ -e /run/late ] && status=late
    kill -KILL -$alarm -$job 2> /dev/null
    wait
    cd /
    echo
    dmesg -c | grep -E -A 30 "$complaint" | head -n 100 | sed 's/^/@@bed kernel /'
    say end $1 $status $ended
}

mount_all
dmesg -n 1              # Only a panic may write into the middle of a job's output.
dmesg -c > /dev/null
load_modules
say ready $(now)
for word in $(cat /proc/cmdline); do
    case $word in bed.first=*) next=${word#*=} ;; esac
done
while [ -e /bed/jobs/${next:=0}/run ]; do
    run_job $next
    next=$((next + 1))
done
say stop $(now)
poweroff -f
