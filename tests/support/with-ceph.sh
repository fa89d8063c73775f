#!/bin/bash
# Runs a command beside a fresh Ceph RGW: with-ceph.sh COMMAND..  It finds the server in FOREBAY_TEST_S3_ENDPOINT,
# _ACCESS_KEY, _SECRET_KEY and _BUCKET. CEPH_STORE=bluestore keeps the objects on disk instead of in memory.
set -euo pipefail
here=$(dirname "$0")
. "$here/lib.sh"
with_server "$here/ceph-rgw.sh" "$@"
