#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# The house: every file says what its licence is, and what the documents speak of exists. Prints what is wrong, a line
# each, and ends with the sum.
set -eu

documents="README.md CONTRIBUTING.md $(find docs -name '*.md' | sort | tr '\n' ' ')"
sources='core include kvm'
passed=0
failed=0
skipped=0

# verdict NAME WRONG: passed if there is nothing wrong.
verdict() {
    if [ -z "$2" ]; then
        passed=$((passed + 1))
        echo "ok    $1"
    else
        failed=$((failed + 1))
        echo "FAIL  $1"
        echo "$2" | sed 's/^/        /'
    fi
}

# Files of the project, without outputs.
files() {
    git ls-files 2> /dev/null || find . \( -path ./build -o -path ./.git \) -prune -o -type f -print | sed 's,^\./,,'
}

without_licence() {
    files | grep -v '^LICENSES/' | while read -r file; do
        [ ! -f "$file" ] || head -n 3 "$file" | grep -q 'SPDX-License-Identifier: ' || echo "$file"
    done
}

# Targets named in a document as `make NAME ...`.
targets_missing() {
    grep -ohE '(`|^ *)make [a-z][a-z-]*' $documents | sed 's/.*make //' | sort -u | while read -r target; do
        grep -qE "^([a-z-]+ )*$target( [a-z-]+)*:" Makefile mk/*.mk || echo "make $target"
    done
}

# Files that a document links to, relative to itself.
links_broken() {
    for document in $documents; do
        grep -oE '\]\([^)#]+' "$document" | sed 's/^](//' | grep -v '^[a-z]*:' | while read -r link; do
            [ -e "$(dirname "$document")/$link" ] || echo "$document: $link"
        done
    done
}

# Paths of the tree named in a document, such as `core/walk/iter.h`.
paths_missing() {
    grep -ohE '`(core|include|kvm|mk|bed|tests|docs|machine)/[A-Za-z0-9_./-]+`' $documents | tr -d '`' | sort -u |
    while read -r path; do
        [ -e "$path" ] || echo "$path"
    done
}

# Functions of ours named in a document, such as `vmmu_fault()`.
functions_missing() {
    grep -ohE '`(vmmu_|pte_|spte_|iter_|flush_|op_)[a-z0-9_]+\(\)' $documents | tr -d '`()' | sort -u |
    while read -r name; do
        grep -rqE "\b$name\(" $sources || echo "$name()"
    done
}

# Every bit of an entry and every counter has its line.
bits_untold() {
    sed -n 's/^#define \(SPTE_[A-Z0-9_]*\)\s.*/\1/p' core/format/spte.h | while read -r bit; do
        grep -q "\b$bit\b" docs/spte-bits.md || echo "docs/spte-bits.md: $bit"
    done
    sed -n 's/.*= "\([a-z_]*\)",$/\1/p' core/mmu/counters.c | while read -r counter; do
        grep -q "\`$counter\`" README.md || echo "README.md: $counter"
    done
}

misspelt() {
    files | grep -E '\.(md|c|h|mk|sh|py)$' | while read -r file; do [ ! -f "$file" ] || echo "$file"; done |
    xargs codespell --ignore-words-list=rmap,ser,ans,te,hda,nd,fo,inout,whats 2>&1 || true
}

verdict 'every file names its licence' "$(without_licence)"
verdict 'every target in the documents exists' "$(targets_missing)"
verdict 'every link in the documents leads somewhere' "$(links_broken)"
verdict 'every path in the documents exists' "$(paths_missing)"
verdict 'every function in the documents exists' "$(functions_missing)"
verdict 'every bit and every counter is documented' "$(bits_untold)"
if command -v codespell > /dev/null; then
    verdict 'spelling' "$(misspelt)"
else
    skipped=$((skipped + 1))
    echo 'skip  spelling: codespell is not installed'
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
