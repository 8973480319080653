#!/bin/sh
# Makes configure and what it needs from the sources in the repository.
set -eu
cd "$(dirname "$0")"
exec autoreconf --force --install --warnings=all
