/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SST_REAP_H
#define SST_REAP_H

#include "sst_call.h"

ssize_t sst_reap_read(struct sst_file *file, char __user *buf, size_t count,
		      bool nonblock);
int sst_reap_many(struct sst_file *file, struct sst_reap *reap, bool nonblock);
int sst_reap_events(struct sst_file *file, struct sst_events *events,
		    bool nonblock);

#endif /* SST_REAP_H */
