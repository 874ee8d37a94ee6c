#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# dev.sh DEB CONSUMER: a device of one's own against the installed libraries, by pkg-config.
set -eu
apt-get -q update >/packages/apt.log 2>&1 || { cat /packages/apt.log; exit 1; }
apt-get -q -y install "$1" g++ pkg-config >/packages/apt.log 2>&1 || { tail -n 30 /packages/apt.log; exit 1; }
# shellcheck disable=SC2046 # Words.
g++ -std=c++20 @FLAGS@ -I"$2" "$2"/*.cpp -o /tmp/adder-server $(pkg-config --cflags --libs mimic-host)
/tmp/adder-server --version
