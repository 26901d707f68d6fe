#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# machine_check.sh BUILD SECONDS COVERAGE_SECONDS OPERATIONS FUZZ_SECONDS TARGET...
#
# Streams under the sanitizers; streams in the build that counts what they reach; so many operations in the fastest build;
# the fuzzers. Adds up what they say, and ends with what of the core the second part has reached.
set -u

build=$1
seconds=$2
coverage_seconds=$3
operations=$4
fuzz_seconds=$5
shift 5

sum() {
    awk '
        /^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { passed += $1; failed += $3; skipped += $5; next }
        /^[0-9]+ operations in [0-9]+ streams/ { operations += $1; streams += $4 }
        { print; fflush() }
        END {
            printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped
            printf "machine: %d operations, %d scenes", operations, streams
            exit failed > 0 || !passed
        }'
}

# What the second part has reached, in words. gcovr's own errors are not hidden.
reached() {
    gcovr --root . --filter core/ --object-directory "$build/machine-coverage" --json-summary - "$build/machine-coverage" |
        python3 -c 'import json, sys
all = json.load(sys.stdin)
print(", lines %.1f %%, branches %.1f %%" % (all["line_percent"], all["branch_percent"]))'
}

# A part that ends without a word has failed.
part() {
    FAILURE=$build/machine/failure "$@" || [ $? = 1 ] || echo '0 passed, 1 failed, 0 skipped'
}

find "$build/machine-coverage" -name '*.gcda' -delete
{
    part "$build/machine/vmmu-machine" run "$seconds" -j 2
    part "$build/machine-coverage/vmmu-machine" run "$coverage_seconds" -j 2
    part "$build/machine-long/vmmu-machine" run 0 -j 2 -n "$operations"
    part tests/fuzz/run "$build/fuzz" "$fuzz_seconds" "$@"
} | sum
status=$?
reached || status=1
exit $status
