# What the conformance scripts share: where they work, the runner, sources of Debian's packages.

set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# Scratch data: kept between calls, so that nothing is fetched or run twice natively.
work=${SQUALL_CONFORMANCE:-${TMPDIR:-/tmp}/squall-conformance}
mkdir -p "$work"
# Servers refuse to be root: natively another user runs them.
as_user=()
if [ "$(id -u)" = 0 ]; then as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups); fi

# The runner: an executable as a node of the simulation.
if [ -z "${SQUALL_RUNNER:-}" ]; then
    (cd "$here" && cargo build --release -q -p squall-kernel --example exec)
    target=$(cd "$here" && cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
    SQUALL_RUNNER=$target/release/examples/exec
fi
export SQUALL_RUNNER

# source_of PACKAGE VERSION: the original source of Debian's package, unpacked below $work; prints the folder. Debian's
# package sources are read with lists of their own: the machine's configuration stays as it is.
source_of() {
    local package=$1 version=$2 apt=$work/apt
    local folder=$work/source/$package-$version
    if [ ! -d "$folder" ]; then
        mkdir -p "$apt"/lists/partial "$apt"/cache/archives/partial "$folder.part"
        . /etc/os-release
        local signed="[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
        printf 'deb-src %s http://deb.debian.org/%s main\n' "$signed" "debian $VERSION_CODENAME" \
            "$signed" "debian $VERSION_CODENAME-updates" \
            "$signed" "debian-security $VERSION_CODENAME-security" > "$apt/sources.list"
        local options=(-q -q -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
            -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root)
        apt-get "${options[@]}" update >&2
        (cd "$folder.part" && apt-get "${options[@]}" source --download-only "$package=$version" >&2)
        tar xf "$folder.part"/*.orig.tar.* -C "$folder.part" --strip-components=1
        mv "$folder.part" "$folder"
    fi
    echo "$folder"
}

# equal NATIVE INSIDE: both are lists `test<tab>result`, sorted. Tells those that differ, and in the end how many do not.
equal() {
    comm -3 "$1" "$2" | sed 's/^\t/  inside:   /; t; s/^/  natively: /'
    echo "equal $(comm -12 "$1" "$2" | wc -l) of $(wc -l < "$1")"
}
