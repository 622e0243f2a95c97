# Where the source of an nginx comes from: the crate nginx-src, the source package of a Debian
# suite, the package nginx-dev, or its owner. Each function prints the directory of a tree.
# shellcheck shell=bash

nginx_trees=$target/nginx

# The version that a source tree says it is.
nginx_version() {
    sed -n 's/^#define NGINX_VERSION *"\(.*\)"/\1/p' -- "$1/src/core/nginx.h"
}

is_nginx_source() {
    [ -f "$1/src/core/nginx.h" ]
}

# The tree that the crate nginx-src carries; cargo fetches and verifies it.
crate_source() {
    local host manifest
    host=$(rustc -vV | sed -n 's/^host: //p')
    manifest=$(cargo metadata --locked --format-version 1 --filter-platform "$host" \
        --manifest-path "$root/tests/nginx-src/Cargo.toml" |
        grep -o '"manifest_path":"[^"]*/nginx-src-[^"]*/Cargo.toml"' | cut -d '"' -f 4) ||
        fail "cargo could not fetch the crate nginx-src: is the registry within reach?"
    printf '%s/nginx\n' "${manifest%/*}"
}

# The source of the installed Debian nginx, which the package nginx-dev brings.
distro_source() {
    local source=/usr/share/nginx/src
    if ! is_nginx_source "$source" || [ ! -x /usr/sbin/nginx ]; then
        fail "Debian's packages nginx and nginx-dev are missing: run scripts/setup"
    fi
    /usr/sbin/nginx -v 2>&1 | grep -qF "nginx/$(nginx_version "$source")" ||
        fail "/usr/sbin/nginx and $source (nginx-dev) are of different versions: upgrade both packages"
    printf '%s\n' "$source"
}

# A tree that its owner configured.
configured_source() {
    local source=$1
    is_nginx_source "$source" ||
        fail "$source is no nginx source tree (no src/core/nginx.h): unpack the source of the version that you run, and give its directory"
    if [ ! -f "$source/objs/ngx_auto_config.h" ] || [ ! -f "$source/objs/Makefile" ]; then
        fail "$source is not configured: run './configure --with-compat' in it, with the other arguments that 'nginx -V' prints; make is not needed"
    fi
    realpath -- "$source"
}

# The address of the Debian mirror that this machine uses.
debian_mirror() {
    # shellcheck disable=SC2016 # the $ are apt's
    apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' |
        awk -F '|' '$1 == "Debian" && $2 == "Debian" { print $3; exit }'
}

# The source package of a Debian suite, through an apt of our own: the machine's stays as it is.
suite_source() {
    local suite=$1 apt=$nginx_trees/apt/$1 mirror
    local keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    if [ ! -e "$apt/complete" ]; then
        mirror=$(debian_mirror)
        [ -n "$mirror" ] || fail "apt knows no Debian mirror on this machine: run apt-get update"
        rm -rf -- "$apt"
        mkdir -p "$apt"/{state/lists/partial,cache/archives/partial}
        printf 'deb-src [signed-by=%s] %s %s main\n' "$keyring" "$mirror" "$suite" > "$apt/sources.list"
        say "fetching the source package nginx of Debian $suite"
        own_apt "$apt" update ||
            fail "apt could not read the source packages of $suite: see $apt/log (no network, or a package debian-archive-keyring older than $suite)"
        own_apt "$apt" source nginx ||
            fail "apt could not fetch and unpack the source package nginx of $suite: see $apt/log (where the mirror's list names files that it no longer has: try again later)"
        touch "$apt/complete"
    fi
    printf '%s\n' "$apt"/nginx-*/
}

own_apt() {
    local apt=$1
    shift
    (cd -- "$apt" && apt-get -q \
        -o Dir::State="$apt/state" -o Dir::Cache="$apt/cache" -o APT::Sandbox::User="$(id -un)" \
        -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o APT::Update::Error-Mode=any "$@") >> "$apt/log" 2>&1
}

# Copies a pristine tree once; a tree of another version replaces the copy.
copy_tree() {
    local from=$1 to=$2
    is_nginx_source "$to" && [ "$(nginx_version "$from")" = "$(nginx_version "$to")" ] && return
    rm -rf -- "$to"
    mkdir -p -- "${to%/*}"
    cp -r -- "$from" "$to"
    chmod -R u+w -- "$to"
}

# Runs the tree's configure, unless it ran with the same words before.
configure_tree() {
    local tree=$1 configure=./configure words
    shift
    words="$*
$(cat -- "$root/config" "$root/config.make")"
    [ "$words" = "$(cat -- "$tree/objs/configured-with" 2> /dev/null)" ] && return
    [ -x "$tree/configure" ] || configure=auto/configure
    say "configuring nginx $(nginx_version "$tree")"
    (cd -- "$tree" && rm -rf objs && logged configure.log "$configure" "$@")
    printf '%s\n' "$words" > "$tree/objs/configured-with"
}
