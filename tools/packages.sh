#!/bin/sh
# Install the Debian packages of programs that are missing here: tools/packages.sh PROGRAM:PACKAGE...
# PROGRAM is a name to search for, or a path. Does nothing if all are there. No daemon of them is started or enabled.
set -eu
PATH="$PATH:/usr/sbin:/sbin:/usr/lib/frr"
missing=""
for entry in "$@"; do
    program=${entry%%:*} package=${entry##*:}
    command -v "$program" >/dev/null 2>&1 || [ -e "$program" ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "setup: missing here:$missing"
    echo "setup: as root on Debian: apt-get install --no-install-recommends$missing"
    exit 0 # what needs them says so, and the rest works
fi

log=$(mktemp)
policy=/usr/sbin/policy-rc.d # Debian's way to say that packages start no services while they are installed
if [ -e "$policy" ]; then
    trap 'rm -f "$log"' EXIT
else
    trap 'rm -f "$log" "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
echo "setup: installing$missing"
quietly() { # says something only if it fails
    "$@" >"$log" 2>&1 || {
        cat "$log"
        exit 1
    }
}
quietly apt-get -qq -o Acquire::Retries=3 update
# shellcheck disable=SC2086
quietly apt-get -qq -y -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 install --no-install-recommends $missing
if command -v systemctl >/dev/null 2>&1; then
    for package in $missing; do
        case $package in # their daemons run inside namespaces only, never on the machine itself
        bird2) systemctl disable bird.service ;;
        babeld) systemctl disable babeld.service ;;
        frr) systemctl disable frr.service ;;
        esac >/dev/null 2>&1 || true
    done
fi
