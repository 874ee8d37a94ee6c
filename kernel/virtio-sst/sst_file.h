/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SST_FILE_H
#define SST_FILE_H

#include "sst_call.h"

struct sst_file *sst_file_new(struct sst_device *dev);
void sst_file_close(struct sst_file *file);

#endif /* SST_FILE_H */
