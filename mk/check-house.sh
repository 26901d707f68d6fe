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

# Column $1 of the rows of docs/bugs.md, an item in backquotes a line.
bugs_column() {
    awk -F '|' -v n="$1" '$2 + 0 { print $(n + 1) }' docs/bugs.md | grep -o '`[^`]*`' | tr -d '`' | sort -u
}

# Tests and mutants that docs/bugs.md names and nobody has, mutants made for it that it does not name, and rows that name no
# test or mutant and do not say why.
bugs_unproven() {
    bugs_column 4 | while read -r kind name test; do
        case $kind in
        unit) grep -qs "cmocka_unit_test($test)" "tests/unit/$name.c" ;;
        schedule) grep -qsF "SCENE(\"$name${test:+ $test}\"," tests/race/schedule/*.c ;;
        kvm) [ -e "tests/kvm/checks/$name.sh" ] || [ -e "bed/scenarios/$name.py" ] || grep -q "^$name " tests/kvm/*.list ;;
        guest) grep -q "\"$name\"" tests/guests/*.py ;;
        *) false ;;
        esac || echo "no such test: $kind $name $test"
    done
    bugs_column 5 | while read -r name; do
        grep -qxF "[$name]" tests/mutants/mutants.list || echo "no such mutant: $name"
    done
    sed -n 's/^\[\(bugs: .*\)\]$/\1/p' tests/mutants/mutants.list | while read -r name; do
        grep -qF "\`$name\`" docs/bugs.md || echo "not in docs/bugs.md: $name"
    done
    awk -F '|' '$2 + 0 && (NF != 7 || $5 !~ /`|as [0-9]|none: / || $6 !~ /`|as [0-9]|none: /) { print "row" $2 "proves nothing" }' \
        docs/bugs.md
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
verdict 'every bug in docs/bugs.md has its test and its mutant' "$(bugs_unproven)"
if command -v codespell > /dev/null; then
    verdict 'spelling' "$(misspelt)"
else
    skipped=$((skipped + 1))
    echo 'skip  spelling: codespell is not installed'
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
