/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SST_SELFTEST_H
#define SST_SELFTEST_H

#include "sst.h"

void sst_selftest_add(struct sst_device *dev);
void sst_selftest_remove(struct sst_device *dev);

#endif /* SST_SELFTEST_H */
