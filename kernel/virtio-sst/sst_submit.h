/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SST_SUBMIT_H
#define SST_SUBMIT_H

#include "sst_call.h"

/* In place of a queue's number: that of the CPU. */
#define SST_ANY_QUEUE (~0u)

int sst_submit_prepare(struct sst_file *file, struct sst_call *call);
int sst_submit_calls(struct sst_file *file, struct list_head *calls, u32 queue,
		     bool nonblock);
void sst_submit_forget(struct sst_call *call);
bool sst_submit_has_room(const struct sst_device *dev, u32 queue);
int sst_submit_batch(struct sst_file *file, struct sst_batch *batch,
		     bool nonblock);

#endif /* SST_SUBMIT_H */
