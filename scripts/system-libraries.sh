#!/bin/sh
# The system libraries that napari's window needs under Debian and Ubuntu: installed where root may do so,
# else named with the exact command. The engine itself needs none of them.
set -eu
[ "$(uname -s)" = Linux ] || exit 0

packages="xvfb xauth libgl1 libegl1 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0
libxcb-xinerama0 libxcb-xkb1 libxcb-image0 libxcb-render-util0 libxcb-randr0 libdbus-1-3"

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "This is not Debian or Ubuntu: napari's window needs the counterparts of these packages:" $packages
    exit 0
fi

missing=""
for package in $packages; do
    case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true) in
        *"ok installed") ;;
        *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

command="apt-get update && apt-get install -y --no-install-recommends$missing"
if [ "$(id -u)" = 0 ]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "System libraries are missing. The command line works without them; for napari's window run:"
    echo "  sudo sh -c '$command'"
fi
