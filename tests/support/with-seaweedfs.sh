#!/bin/bash
# Runs a command beside a fresh SeaweedFS: with-seaweedfs.sh COMMAND..  It finds the server in FOREBAY_TEST_S3_ENDPOINT,
# _ACCESS_KEY, _SECRET_KEY and _BUCKET.
set -euo pipefail
here=$(dirname "$0")
. "$here/lib.sh"
with_server "$here/seaweedfs.sh" "$@"
