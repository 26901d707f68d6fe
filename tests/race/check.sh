#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# check.sh THREADS SECONDS SCHEDULE SECONDS   run both programs and add up what they count
set -u

{
    TSAN_OPTIONS="halt_on_error=1 ${TSAN_OPTIONS:-}" "$1" "$2" || echo "0 passed, 1 failed, 0 skipped"
    # 1: it has counted what failed by itself
    "$3" -s "$4" -j 2 || [ $? -eq 1 ] || echo "0 passed, 1 failed, 0 skipped"
} | awk '
    /^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { passed += $1; failed += $3; skipped += $5; next }
    /^race: / { schedules = $0; next }
    { print; fflush() }
    END {
        printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
        if (schedules)
            print schedules
        exit failed > 0
    }'
