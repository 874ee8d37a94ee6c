/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is checked of requests and answers.
 */
#ifndef SST_ANSWER_H
#define SST_ANSWER_H

#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/types.h>
#else
#include "mimic_user.h"
#endif

#include "sst_protocol.h"

/* Bytes of a request that decide how many of the others there are. */
#define SST_REQUEST_PREFIX_SIZE 40

/**
 * struct sst_answer - what the driver itself needs of a response
 * @status: enum sst_status
 * @result: of the response
 */
struct sst_answer {
	u32 status;
	u64 result;
};

u32 sst_request_bytes(const struct SSTRequest *prefix);
int sst_answer_read(struct sst_answer *answer, const void *response, u32 used,
		    u64 id);
bool sst_answer_has_timing(u32 used);
bool sst_span_is_valid(u64 offset, u32 bytes, u32 least, u32 most, u32 align,
		       u64 size);

#endif /* SST_ANSWER_H */
