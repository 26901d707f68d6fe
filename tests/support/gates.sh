#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# gates.sh FOLDER   check the core and its public headers; objects go to FOLDER
#   layers   a file of core/ includes its own layer, lower ones, <vmmu/...> and nothing of the system
#   symbols  compiled freestanding, the core needs nothing but what its host gives and four functions of the compiler's
#   headers  every public header compiles alone, as C and as C++, with both compilers
# Before a gate is believed it has to refuse what it is there to refuse.
set -u

out=$1
mkdir -p "$out"
failed=0

say() {
    echo "gates: $*"
    failed=1
}

# --- layers -----------------------------------------------------------------------------------

layer_of() {
    case $1 in
    base) echo 0 ;; format) echo 1 ;; walk) echo 2 ;; page) echo 3 ;; engine) echo 4 ;; mmu) echo 5 ;; audit) echo 6 ;;
    *) echo 9 ;;
    esac
}

# Prints each include of the tree at $1 that is not allowed.
layers() {
    (cd "$1" && grep -rn '^[[:space:]]*#[[:space:]]*include' --include='*.[ch]' .) | while IFS=: read -r file line text; do
        file=${file#./}
        own=$(layer_of "${file%%/*}")
        name=$(printf '%s' "$text" | sed 's/.*include[[:space:]]*[<"]\([^>"]*\)[>"].*/\1/')
        case $text in
        *'<vmmu/'* | *'"vmmu_host_types.h"'*) ;;
        *'<'*) echo "$file:$line: a header of the system: $name" ;;
        *)
            [ "$(layer_of "${name%%/*}")" -le "$own" ] || echo "$file:$line: a higher layer: $name"
            ;;
        esac
    done
}

mkdir -p "$out/bad/format" "$out/bad/base"
echo '#include "engine/change.h"' > "$out/bad/format/up.c"
echo '#include <string.h>' > "$out/bad/base/system.h"
[ "$(layers "$out/bad" | wc -l)" -eq 2 ] || say "layers: the gate does not see what it must refuse"
found=$(layers core)
[ -z "$found" ] || say "layers:
$found"

# --- symbols ----------------------------------------------------------------------------------

# What objects $@ need and none of them has, but for names the host gives.
symbols() {
    nm "$@" | awk '
        NF == 2 && $1 == "U" { need[$2] = 1 }
        NF == 3 && $2 ~ /[TDBRVW]/ { have[$3] = 1 }
        END { for (s in need) if (!(s in have) && s !~ /^(machine_|mem(cpy|set|move|cmp)$)/) print s }' | sort
}

# Names with external linkage that are no names of ours.
exports() {
    nm "$@" | awk 'NF == 3 && $2 ~ /[TDBRVW]/ && $3 !~ /^vmmu_/ { print $3 }' | sort -u
}

compile() {
    gcc -std=gnu11 -O2 -ffreestanding -fno-pie -nostdlib -Wall -Wextra -Werror -Iinclude -Icore -Imachine -c "$1" -o "$2"
}

echo 'int puts(const char *s); int vmmu_bad(void); int vmmu_bad(void) { return puts("x"); } int helper(void) { return 0; }' > "$out/bad.c"
gcc -ffreestanding -c "$out/bad.c" -o "$out/bad.o"
[ "$(symbols "$out/bad.o")" = puts ] || say "symbols: the gate does not see what it must refuse"
[ "$(exports "$out/bad.o")" = helper ] || say "symbols: the gate does not see a foreign name"
objects=
for source in core/*/*.c; do
    object=$out/$(echo "$source" | tr / _).o
    compile "$source" "$object" || say "symbols: $source does not compile freestanding"
    objects="$objects $object"
done
# shellcheck disable=SC2086
found=$(symbols $objects; exports $objects)
[ -z "$found" ] || say "symbols: the core needs, or gives away, names that are not its own:
$found"

# --- headers ----------------------------------------------------------------------------------

# Compiles header $1, found below $2, alone in each language.
header() {
    for compiler in gcc clang; do
        echo "#include <$1>" > "$out/alone.c"
        $compiler -std=c11 -Wall -Wextra -Werror -I"$2" -Imachine -fsyntax-only "$out/alone.c" || return 1
        cp "$out/alone.c" "$out/alone.cpp"
        $compiler -x c++ -std=c++17 -Wall -Wextra -Werror -I"$2" -Imachine -fsyntax-only "$out/alone.cpp" || return 1
    done
}

mkdir -p "$out/bad/vmmu"
echo 'static inline int f(uint64_t class) { return class != 0; }' > "$out/bad/vmmu/bad.h"
! header vmmu/bad.h "$out/bad" 2> /dev/null || say "headers: the gate does not see what it must refuse"
for path in include/vmmu/*.h; do
    name=vmmu/${path##*/}
    # The contract needs the host's bodies, which are C.
    [ "$name" = vmmu/host.h ] && continue
    header "$name" include || say "headers: $name does not compile alone"
done

[ $failed -eq 0 ] && echo "gates: layers, symbols and headers are as they should be"
exit $failed
