/* SPDX-License-Identifier: Apache-2.0 */
/* libvgpu: operations of the mediator. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* What one request of a larger read or write moves at most; arbitrary. */
#define CHUNK_BYTES (1u << 20)
/* Beside the data of a request or a response. */
#define HEAD_BYTES 256u

int vgpu_set_timeout(struct vgpu *vgpu, uint32_t timeout_ms)
{
	const int ret = vgpu->way->set_timeout(vgpu, timeout_ms);

	if (!ret)
		vgpu->timeout_ms = timeout_ms;
	return ret;
}

/* Memory for a request and a response of so many bytes each. */
static int scratch(struct vgpu *vgpu, size_t bytes)
{
	uint8_t *more;

	if (bytes <= vgpu->scratch_bytes)
		return 0;
	more = realloc(vgpu->scratch, 2 * bytes);
	if (!more)
		return -ENOMEM;
	vgpu->scratch = more;
	vgpu->scratch_bytes = bytes;
	return 0;
}

/* Begins a request for which data of @bytes has room in either direction. */
static int begin(struct vgpu *vgpu, struct vgpu_message *message,
		 uint32_t opcode, size_t bytes)
{
	size_t room = bytes + HEAD_BYTES + VGPU_BUFFER_SIZE;
	int ret;

	if (room > vgpu->max_bytes)
		room = vgpu->max_bytes;
	ret = scratch(vgpu, room);
	if (!ret)
		vgpu_message_begin(message, vgpu->scratch, room, opcode);
	return ret;
}

/* Sends it; what the response says is in @answer, which points into scratch. */
static int ask(struct vgpu *vgpu, const struct vgpu_message *message,
	       struct vgpu_answer *answer)
{
	const ssize_t length = vgpu_message_end(message);
	uint8_t *response = vgpu->scratch + vgpu->scratch_bytes;
	size_t bytes;
	int ret;

	if (length < 0)
		return (int)length;
	ret = vgpu_execute(vgpu, message->bytes, (size_t)length, response,
			   message->room, &bytes,
			   vgpu->timeout_ms ? (int)vgpu->timeout_ms : -1);
	if (!ret)
		ret = vgpu_parse(response, bytes, answer);
	return ret ? ret : vgpu_device_error(answer->status);
}

/* The same, of a request that must have so many results. */
static int ask_for(struct vgpu *vgpu, const struct vgpu_message *message,
		   uint32_t results, struct vgpu_answer *answer)
{
	const int ret = ask(vgpu, message, answer);

	if (!ret && answer->result_count < results)
		return -EIO;
	return ret;
}

static uint64_t result64(const struct vgpu_answer *answer)
{
	return (uint64_t)answer->results[1] << 32 | answer->results[0];
}

/* An operation without parameters or results. */
static int simple(struct vgpu *vgpu, uint32_t opcode)
{
	struct vgpu_message message;
	struct vgpu_answer answer;
	const int ret = begin(vgpu, &message, opcode, 0);

	return ret ? ret : ask(vgpu, &message, &answer);
}

int vgpu_nop(struct vgpu *vgpu)
{
	return simple(vgpu, VGPU_OP_NOP);
}

int vgpu_synchronize(struct vgpu *vgpu)
{
	return simple(vgpu, VGPU_OP_SYNCHRONIZE);
}

int vgpu_sum(struct vgpu *vgpu, uint32_t a, uint32_t b, uint32_t *sum)
{
	struct vgpu_message message;
	struct vgpu_answer answer;
	int ret = begin(vgpu, &message, VGPU_OP_SUM, 0);

	if (ret)
		return ret;
	vgpu_message_u32(&message, a);
	vgpu_message_u32(&message, b);
	ret = ask_for(vgpu, &message, 1, &answer);
	if (!ret)
		*sum = answer.results[0];
	return ret;
}

int vgpu_device_info(struct vgpu *vgpu, struct vgpu_device_info *info)
{
	struct vgpu_message message;
	struct vgpu_answer answer;
	int ret = begin(vgpu, &message, VGPU_OP_GET_DEVICE_INFO, sizeof(*info));

	if (ret)
		return ret;
	ret = ask(vgpu, &message, &answer);
	if (ret)
		return ret;
	if (answer.data_bytes < sizeof(*info))
		return -EIO;
	memcpy(info, answer.data, sizeof(*info));
	info->backend[sizeof(info->backend) - 1] = 0;
	info->name[sizeof(info->name) - 1] = 0;
	return 0;
}

int vgpu_alloc(struct vgpu *vgpu, uint64_t size, uint64_t *handle)
{
	struct vgpu_message message;
	struct vgpu_answer answer;
	int ret = begin(vgpu, &message, VGPU_OP_MEM_ALLOC, 0);

	if (ret)
		return ret;
	vgpu_message_u64(&message, size);
	ret = ask_for(vgpu, &message, 2, &answer);
	if (!ret)
		*handle = result64(&answer);
	return ret;
}

/* An operation with 64-bit parameters, without results. */
static int with_words(struct vgpu *vgpu, uint32_t opcode, const uint64_t *words,
		      unsigned int count)
{
	struct vgpu_message message;
	struct vgpu_answer answer;
	unsigned int i;
	const int ret = begin(vgpu, &message, opcode, 0);

	if (ret)
		return ret;
	for (i = 0; i < count; i++)
		vgpu_message_u64(&message, words[i]);
	return ask(vgpu, &message, &answer);
}

int vgpu_free(struct vgpu *vgpu, uint64_t handle)
{
	return with_words(vgpu, VGPU_OP_MEM_FREE, &handle, 1);
}

int vgpu_copy_memory(struct vgpu *vgpu, uint64_t to, uint64_t to_offset,
		     uint64_t from, uint64_t from_offset, uint64_t bytes)
{
	const uint64_t words[] = { to, to_offset, from, from_offset, bytes };

	return with_words(vgpu, VGPU_OP_MEM_COPY, words, 5);
}

int vgpu_fill_memory(struct vgpu *vgpu, uint64_t handle, uint64_t offset,
		     uint64_t bytes, uint8_t value)
{
	struct vgpu_message message;
	struct vgpu_answer answer;
	const int ret = begin(vgpu, &message, VGPU_OP_MEM_FILL, 0);

	if (ret)
		return ret;
	vgpu_message_u64(&message, handle);
	vgpu_message_u64(&message, offset);
	vgpu_message_u64(&message, bytes);
	vgpu_message_u32(&message, value);
	return ask(vgpu, &message, &answer);
}

/* How much of a larger transfer goes with one request. */
static size_t chunk_bytes(const struct vgpu *vgpu)
{
	const size_t bytes = vgpu->max_bytes - HEAD_BYTES;

	return bytes < CHUNK_BYTES ? bytes : CHUNK_BYTES;
}

static int write_part(struct vgpu *vgpu, uint64_t handle, uint64_t offset,
		      const void *data, size_t bytes)
{
	struct vgpu_message message;
	struct vgpu_answer answer;
	const int ret = begin(vgpu, &message, VGPU_OP_MEM_WRITE, bytes);

	if (ret)
		return ret;
	vgpu_message_u64(&message, handle);
	vgpu_message_u64(&message, offset);
	vgpu_message_data(&message, data, bytes);
	return ask(vgpu, &message, &answer);
}

static int read_part(struct vgpu *vgpu, uint64_t handle, uint64_t offset,
		     void *data, size_t bytes)
{
	struct vgpu_message message;
	struct vgpu_answer answer;
	int ret = begin(vgpu, &message, VGPU_OP_MEM_READ, bytes);

	if (ret)
		return ret;
	vgpu_message_u64(&message, handle);
	vgpu_message_u64(&message, offset);
	vgpu_message_u64(&message, bytes);
	ret = ask(vgpu, &message, &answer);
	if (ret)
		return ret;
	if (answer.data_bytes != bytes)
		return -EIO;
	memcpy(data, answer.data, bytes);
	return 0;
}

int vgpu_write_memory(struct vgpu *vgpu, uint64_t handle, uint64_t offset,
		      const void *data, size_t bytes)
{
	const size_t most = chunk_bytes(vgpu);
	size_t done, part;
	int ret = 0;

	for (done = 0; !ret && done < bytes; done += part) {
		part = bytes - done < most ? bytes - done : most;
		ret = write_part(vgpu, handle, offset + done,
				 (const uint8_t *)data + done, part);
	}
	return ret;
}

int vgpu_read_memory(struct vgpu *vgpu, uint64_t handle, uint64_t offset,
		     void *data, size_t bytes)
{
	const size_t most = chunk_bytes(vgpu);
	size_t done, part;
	int ret = 0;

	for (done = 0; !ret && done < bytes; done += part) {
		part = bytes - done < most ? bytes - done : most;
		ret = read_part(vgpu, handle, offset + done,
				(uint8_t *)data + done, part);
	}
	return ret;
}

struct vgpu_arg vgpu_arg_memory(uint64_t handle, uint64_t offset)
{
	return (struct vgpu_arg){ .kind = VGPU_ARG_MEMORY,
				  .size = 8,
				  .value = handle,
				  .offset = offset };
}

struct vgpu_arg vgpu_arg_u64(uint64_t value)
{
	return (struct vgpu_arg){ .kind = VGPU_ARG_VALUE,
				  .size = 8,
				  .value = value };
}

struct vgpu_arg vgpu_arg_f32(float value)
{
	struct vgpu_arg arg = { .kind = VGPU_ARG_VALUE, .size = 4 };

	memcpy(&arg.value, &value, sizeof(value));
	return arg;
}

int vgpu_launch_module(struct vgpu *vgpu, const struct vgpu_launch *launch,
		       const struct vgpu_arg *args, uint32_t *exec_time_us)
{
	const size_t bytes = launch->arg_count * sizeof(*args);
	struct vgpu_message message;
	struct vgpu_answer answer;
	int ret;

	if (launch->arg_count > VGPU_MAX_ARGS)
		return -EINVAL;
	ret = begin(vgpu, &message, VGPU_OP_LAUNCH, sizeof(*launch) + bytes);
	if (ret)
		return ret;
	vgpu_message_data(&message, launch, sizeof(*launch));
	vgpu_message_data(&message, args, bytes);
	ret = ask(vgpu, &message, &answer);
	if (!ret && exec_time_us)
		*exec_time_us = answer.exec_time_us;
	return ret;
}

int vgpu_launch(struct vgpu *vgpu, const char *kernel,
		const struct vgpu_arg *args, uint32_t arg_count,
		uint32_t *exec_time_us)
{
	struct vgpu_launch launch = {
		.grid = { 1, 1, 1 },
		.block = { 1, 1, 1 },
		.arg_count = arg_count,
	};

	if (strlen(kernel) >= sizeof(launch.name))
		return -EINVAL;
	strcpy(launch.name, kernel);
	return vgpu_launch_module(vgpu, &launch, args, exec_time_us);
}

int vgpu_load_module(struct vgpu *vgpu, const char *ptx, size_t bytes,
		     uint64_t *module)
{
	struct vgpu_message message;
	struct vgpu_answer answer;
	int ret = begin(vgpu, &message, VGPU_OP_MODULE_LOAD, bytes);

	if (ret)
		return ret;
	vgpu_message_data(&message, ptx, bytes);
	ret = ask_for(vgpu, &message, 2, &answer);
	if (!ret)
		*module = result64(&answer);
	return ret;
}

int vgpu_unload_module(struct vgpu *vgpu, uint64_t module)
{
	return with_words(vgpu, VGPU_OP_MODULE_UNLOAD, &module, 1);
}
