// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-sst: what is checked of requests and answers
 *
 * Plain C: tests/kernel runs this file in user space under sanitizers.
 */

#ifdef __KERNEL__
#include <linux/string.h>
#endif

#include "sst_answer.h"

/**
 * sst_request_bytes() - how many bytes of a request say something
 * @prefix: its first SST_REQUEST_PREFIX_SIZE bytes
 *
 * What a device is not sent it takes for zeros, and of these types it reads no
 * more. So a NOOP costs 24 bytes of copying, not 4104.
 *
 * Return: bytes, at most those of a request.
 */
u32 sst_request_bytes(const struct SSTRequest *prefix)
{
	const u32 most = sizeof(*prefix) - SST_REQUEST_PREFIX_SIZE;

	switch (prefix->type) {
	case SST_REQ_NOOP:
	case SST_REQ_RESET:
	case SST_REQ_GET_INFO:
		return SST_REQUEST_HEADER_SIZE;
	case SST_REQ_COMPUTE:
	case SST_REQ_READ:
	case SST_REQ_CONFIGURE:
		return SST_REQUEST_PREFIX_SIZE;
	case SST_REQ_WRITE:
		/* One that is too long is the device's to refuse. */
		return SST_REQUEST_PREFIX_SIZE +
		       min(prefix->payload.memory.size, most);
	default:
		return sizeof(*prefix);
	}
}

/**
 * sst_answer_read() - read the answer to a request
 * @answer: where to
 * @response: first SST_RESPONSE_HEADER_SIZE bytes of what came; others may be
 *	writing there, so each is read once
 * @used: bytes that the device says it has written
 * @id: of the request
 *
 * Return: 0; -EIO if it is too short, or an answer to something else.
 */
int sst_answer_read(struct sst_answer *answer, const void *response, u32 used,
		    u64 id)
{
	const u8 *bytes = response;
	u64 answered;

	if (used < SST_RESPONSE_HEADER_SIZE)
		return -EIO;
	memcpy(&answered, bytes + offsetof(struct SSTResponse, request_id),
	       sizeof(answered));
	if (answered != id)
		return -EIO;
	memcpy(&answer->status, bytes + offsetof(struct SSTResponse, status),
	       sizeof(answer->status));
	memcpy(&answer->result, bytes + offsetof(struct SSTResponse, result),
	       sizeof(answer->result));
	return 0;
}

/**
 * sst_answer_has_timing() - whether struct sst_timing came after a response
 * @used: bytes that the device says it has written
 */
bool sst_answer_has_timing(u32 used)
{
	return used >= sizeof(struct SSTResponse) + sizeof(struct sst_timing);
}

/**
 * sst_span_is_valid() - whether a part of a shared buffer can be used
 * @offset: in the buffer
 * @bytes: of the part
 * @least: what @bytes must be at least
 * @most: and at most
 * @align: of @offset, a power of two
 * @size: of the buffer
 */
bool sst_span_is_valid(u64 offset, u32 bytes, u32 least, u32 most, u32 align,
		       u64 size)
{
	return bytes >= least && bytes <= most && !(offset & (align - 1)) &&
	       offset <= size && bytes <= size - offset;
}
