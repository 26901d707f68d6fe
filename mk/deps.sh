#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# deps.sh packages NAME...   install the Debian packages that are missing
# deps.sh kernel FOLDER      unpack Debian's kernel that fits the installed headers into FOLDER, without installing it
# deps.sh kernel32 FOLDER    unpack Debian's kernels of i386, without PAE and with it, and a busybox for them, likewise
# Silent when there is nothing to do. BUILD names the folder for logs (default: build).
set -eu

build=${BUILD:-build}
log=$build/deps/$1.log
mkdir -p "$build/deps"

say() {
    echo "deps: $*"
}

fail() {
    echo "deps: $* (log: $log)" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo > /dev/null; then
        sudo "$@"
    else
        fail "cannot install packages: not root, and there is no sudo"
    fi
}

apt() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" >> "$log" 2>&1
}

# Prints those of the named packages that are not installed.
missing() {
    # dpkg-query fails if it does not know one of them: its list is what counts.
    installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2> /dev/null |
        sed -n 's/^installed //p') || true
    printf '%s\n' "$@" | grep -vxF "$installed" || true
}

refresh_lists() {
    say "refreshing Debian's package lists"
    apt -o APT::Update::Error-Mode=any update || fail "cannot read Debian's package lists: is there a network?"
}

packages() {
    wanted=$(missing "$@")
    [ -n "$wanted" ] || return 0
    : > "$log"
    refresh_lists
    say "installing $(echo $wanted)"
    apt install --no-install-recommends $wanted || fail "cannot install: $(sed -n 's/^E: //p' "$log" | head -n 1)"
}

# The release of the newest installed headers, e.g. 6.1.0-56-amd64.
release_of_headers() {
    ls -d /usr/src/linux-headers-6.1.0-*-amd64 2> /dev/null | sort -V | tail -n 1 | sed 's/.*linux-headers-//'
}

# Fetches the kernel package for a release into the current folder.
download() {
    apt-get -q download "linux-image-$1" >> "$log" 2>&1
}

kernel() {
    release=$(release_of_headers)
    [ -n "$release" ] || fail "no headers of a 6.1 kernel in /usr/src: install linux-headers-amd64"
    [ "$(cat "$1/release" 2> /dev/null)" != "$release" ] || return 0
    log=$PWD/$log
    : > "$log"
    rm -rf "$1" "$1.new"
    mkdir -p "$1.new"
    say "downloading linux-image-$release, to unpack it in $1"
    if ! (cd "$1.new" && download "$release"); then
        # Debian drops superseded releases: move on to the newest, with source and headers that fit.
        refresh_lists
        say "bringing linux-headers-amd64 and linux-source-6.1 up to date"
        apt install --no-install-recommends linux-headers-amd64 linux-source-6.1 ||
            fail "cannot update the kernel's headers"
        release=$(release_of_headers)
        (cd "$1.new" && download "$release") || fail "cannot download linux-image-$release"
    fi
    dpkg -x "$1.new"/*.deb "$1.new" >> "$log" 2>&1 || fail "cannot unpack linux-image-$release"
    rm "$1.new"/*.deb
    echo "$release" > "$1.new/release"
    mv "$1.new" "$1"
}

# Runs an apt tool on packages of i386, with lists of its own: this machine's are of its own architecture.
apt32() {
    tool=$1
    shift
    state=$(realpath "$build")/deps/i386
    mkdir -p "$state/lists/partial" "$state/archives/partial"
    "$tool" -q -o APT::Architecture=i386 -o APT::Architectures=i386 -o Acquire::Languages=none \
        -o Dir::State="$state" -o Dir::State::status=/dev/null -o Dir::Cache="$state" "$@" 2>> "$log"
}

kernel32() {
    [ ! -d "$1" ] || return 0
    log=$PWD/$log
    : > "$log"
    say "downloading kernels and a busybox of i386, to unpack them in $1"
    # Any kernel 6.1 of i386 will do: one list that can be read is enough.
    apt32 apt-get update >> "$log" || true
    release=$(apt32 apt-cache pkgnames linux-image-6.1.0- | sed -n 's/^linux-image-\(6.1.0-[0-9]*\)-686$/\1/p' |
        sort -V | tail -n 1)
    [ -n "$release" ] || fail "cannot read Debian's package lists for i386, or they name no kernel 6.1"
    rm -rf "$1.new"
    mkdir -p "$1.new/deb"
    build=$(realpath "$build")
    (cd "$1.new/deb" && apt32 apt-get download "linux-image-$release-686" "linux-image-$release-686-pae" \
        busybox-static >> "$log") || fail "cannot download linux-image-$release-686 and its kin"
    for package in "$1.new"/deb/*.deb; do
        # Of the kernels their images alone: nobody loads their modules.
        case $package in *busybox*) part=./bin/busybox ;; *) part=./boot/vmlinuz-* ;; esac
        dpkg-deb --fsys-tarfile "$package" | tar -x -C "$1.new" --wildcards "$part" || fail "cannot unpack $package"
    done
    rm -r "$1.new/deb"
    mv "$1.new" "$1"
}

verb=$1
shift
"$verb" "$@"
