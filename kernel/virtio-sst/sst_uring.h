/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SST_URING_H
#define SST_URING_H

#include "sst_call.h"

void sst_uring_finish(struct sst_call *call);
#ifdef SST_HAS_URING
int sst_uring_cmd(struct io_uring_cmd *cmd, unsigned int issue_flags);
#endif

#endif /* SST_URING_H */
