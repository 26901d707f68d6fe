#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# check.sh PART...   run each part by `make PART`, show and keep what it prints, and sum up
# +PART: it runs beside those that follow, and what it prints is shown at the end.
# BUILD names the folder for logs (default: build), MAKE the make to run.
set -eu

logs=${BUILD:-build}/check
line='[0-9][0-9]* passed, [0-9][0-9]* failed, [0-9][0-9]* skipped'
total_passed=0
total_failed=0
total_skipped=0
summary=
beside=

mkdir -p "$logs"
rm -f "$logs"/*.status

# Runs one part; leaves its exit status and its seconds in a file.
run() {
    began=$(date +%s)
    status=0
    ${MAKE:-make} -j"$(nproc)" "$1" 2>&1 || status=$?
    echo "$status $(($(date +%s) - began))" > "$logs/$1.status"
}

# Adds what a part that has ended came to.
add() {
    part=$1
    read -r status seconds < "$logs/$part.status"
    result=$(grep -x "$line" "$logs/$part.log" | tail -n 1) || true
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
    summary="$summary$(printf '%-15s %s in %s s%s' "$part" "$result" "$seconds" "$remark")
"
}

for part; do
    case $part in
    +*)
        part=${part#+}
        echo "== $part begins; its results come last"
        run "$part" > "$logs/$part.log" &
        beside="$beside $part"
        ;;
    *)
        echo "== $part"
        run "$part" | tee "$logs/$part.log"
        add "$part"
        ;;
    esac
done
wait
for part in $beside; do
    echo "== $part"
    cat "$logs/$part.log"
    add "$part"
done

printf '\n%sLogs: %s/\n\n' "$summary" "$logs"
echo "$total_passed passed, $total_failed failed, $total_skipped skipped"
[ $total_failed = 0 ] && [ $total_passed != 0 ]
