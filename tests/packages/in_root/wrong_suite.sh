#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# wrong_suite.sh DEB: dpkg refuses it, for a reason that its own script prints; nothing is left unpacked.
if dpkg --force-depends -i "$1" 2>&1; then
    echo "it was installed"
    exit 1
fi
! dpkg -L libmimic-dev 2>/dev/null | grep -q '\.a$'
