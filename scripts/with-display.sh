#!/bin/sh
# Run a command with a screen: the one that is there, else a virtual one of 1920 x 1080.
set -eu
if [ -z "${DISPLAY:-}" ] && [ "$(uname -s)" = Linux ] && command -v xvfb-run >/dev/null 2>&1; then
    exec xvfb-run --auto-servernum --server-args="-screen 0 1920x1080x24" "$@"
fi
exec "$@"
