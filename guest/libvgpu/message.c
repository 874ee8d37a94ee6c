/* SPDX-License-Identifier: Apache-2.0 */
/* libvgpu: requests and responses as bytes. */

#include <errno.h>
#include <string.h>

#include "libvgpu.h"

#define PADDING 8u /* of a request or a response in a batch */

static struct vgpu_request *header(struct vgpu_message *message)
{
	return (struct vgpu_request *)(void *)message->bytes;
}

/* Appends bytes; false: no room. */
static bool append(struct vgpu_message *message, const void *data, size_t bytes)
{
	if (message->failed || bytes > message->room - message->used) {
		message->failed = true;
		return false;
	}
	if (bytes)
		memcpy(message->bytes + message->used, data, bytes);
	message->used += bytes;
	return true;
}

void vgpu_message_begin(struct vgpu_message *message, void *bytes, size_t room,
			uint32_t opcode)
{
	const struct vgpu_request request = {
		.version = VGPU_PROTOCOL_VERSION,
		.opcode = opcode,
	};

	*message = (struct vgpu_message){ .bytes = bytes, .room = room };
	append(message, &request, sizeof(request));
}

void vgpu_message_u32(struct vgpu_message *message, uint32_t value)
{
	if (message->failed || header(message)->data_offset ||
	    header(message)->param_count == VGPU_MAX_PARAMS) {
		message->failed = true;
		return;
	}
	if (append(message, &value, sizeof(value)))
		header(message)->param_count++;
}

void vgpu_message_u64(struct vgpu_message *message, uint64_t value)
{
	vgpu_message_u32(message, (uint32_t)value);
	vgpu_message_u32(message, (uint32_t)(value >> 32));
}

void vgpu_message_data(struct vgpu_message *message, const void *data,
		       size_t bytes)
{
	static const uint8_t zeros[PADDING];

	if (!bytes || message->failed)
		return;
	if (!header(message)->data_offset) {
		/* Structures in it are where their fields are aligned. */
		append(message, zeros, -message->used % PADDING);
		if (message->failed)
			return;
		header(message)->data_offset = (uint32_t)message->used;
	}
	if (append(message, data, bytes))
		header(message)->data_length += (uint32_t)bytes;
}

ssize_t vgpu_message_end(const struct vgpu_message *message)
{
	return message->failed ? -EMSGSIZE : (ssize_t)message->used;
}

/* vgpu_u32 length, the request, zeros up to a multiple of 8. */
void vgpu_message_add(struct vgpu_message *batch,
		      const struct vgpu_message *request)
{
	static const uint8_t zeros[PADDING];
	const uint32_t length = (uint32_t)request->used;

	if (request->failed) {
		batch->failed = true;
		return;
	}
	vgpu_message_data(batch, &length, sizeof(length));
	vgpu_message_data(batch, request->bytes, length);
	vgpu_message_data(batch, zeros, -(sizeof(length) + length) % PADDING);
}

int vgpu_parse(const void *response, size_t bytes, struct vgpu_answer *answer)
{
	const uint8_t *from = response;
	struct vgpu_response head;

	memset(answer, 0, sizeof(*answer));
	if (bytes < sizeof(head))
		return -EIO;
	memcpy(&head, from, sizeof(head));
	if (head.version != VGPU_PROTOCOL_VERSION ||
	    head.result_count > VGPU_MAX_PARAMS ||
	    head.result_count * sizeof(uint32_t) > bytes - sizeof(head))
		return -EIO;
	if (head.data_length &&
	    (head.data_offset > bytes ||
	     head.data_length > bytes - head.data_offset))
		return -EIO;
	answer->status = head.status;
	answer->result_count = head.result_count;
	memcpy(answer->results, from + sizeof(head),
	       head.result_count * sizeof(uint32_t));
	answer->exec_time_us = head.exec_time_us;
	if (head.data_length)
		answer->data = from + head.data_offset;
	answer->data_bytes = head.data_length;
	return 0;
}

int vgpu_parse_next(const struct vgpu_answer *batch, size_t *place,
		    struct vgpu_answer *answer)
{
	uint32_t length;
	size_t left;
	int ret;

	if (*place >= batch->data_bytes)
		return -ENOENT;
	left = batch->data_bytes - *place;
	if (left < sizeof(length))
		return -EIO;
	memcpy(&length, batch->data + *place, sizeof(length));
	if (length > left - sizeof(length))
		return -EIO;
	ret = vgpu_parse(batch->data + *place + sizeof(length), length, answer);
	*place += sizeof(length) + length;
	*place += -*place % PADDING;
	return ret;
}
