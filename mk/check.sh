#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# check.sh PART...   run each part by `make PART`, show and keep what it prints, and sum up
# BUILD names the folder for logs (default: build), MAKE the make to run.
set -eu

logs=${BUILD:-build}/check
line='[0-9][0-9]* passed, [0-9][0-9]* failed, [0-9][0-9]* skipped'
total_passed=0
total_failed=0
total_skipped=0
summary=

mkdir -p "$logs"

# Runs one part; leaves its exit status in $status and its count line, if any, in $result.
run() {
    log=$logs/$1.log
    rm -f "$logs/status"
    { ${MAKE:-make} "$1" 2>&1 && echo 0 > "$logs/status" || echo $? > "$logs/status"; } | tee "$log"
    status=$(cat "$logs/status")
    rm -f "$logs/status"
    result=$(grep -x "$line" "$log" | tail -n 1) || true
}

for part; do
    echo "== $part"
    run "$part"
    remark=
    if [ -z "$result" ]; then
        result='0 passed, 1 failed, 0 skipped'
        remark=' (it did not say how many)'
    elif [ "$status" != 0 ]; then
        case $result in
        *' 0 failed'*)
            result=$(echo "$result" | sed 's/ 0 failed/ 1 failed/')
            remark=" (exit status $status)"
            ;;
        esac
    fi
    set -- $result
    total_passed=$((total_passed + $1))
    total_failed=$((total_failed + $3))
    total_skipped=$((total_skipped + $5))
    summary="$summary$(printf '%-15s %s%s' "$part" "$result" "$remark")
"
done

printf '\n%sLogs: %s/\n\n' "$summary" "$logs"
echo "$total_passed passed, $total_failed failed, $total_skipped skipped"
[ $total_failed = 0 ] && [ $total_passed != 0 ]
