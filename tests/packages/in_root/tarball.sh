#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# tarball.sh FOLDER: boots from what was unpacked into the home of a user without rights, in a root where nothing was installed for it.
set -eu
# shellcheck source=/dev/null
. /packages/tester.sh
as_tester sh /packages/machine.sh "$1/bin/mimic" "$1/share/mimic/examples"
