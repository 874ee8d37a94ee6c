/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libvgpu: programs ask a vGPU, whose requests a mediator on the host carries
 * out: through /dev/vgpuN, or through the registers of its PCI function alone.
 *
 *	struct vgpu *vgpu;
 *	uint64_t memory;
 *	int ret;
 *
 *	ret = vgpu_init(NULL, &vgpu);
 *	if (!ret)
 *		ret = vgpu_alloc(vgpu, 4096, &memory);
 *	if (ret)
 *		printf("%s\n", vgpu_error_text(ret));
 *
 * What functions return: 0; a positive enum vgpu_error, by the device or the
 * mediator; or a negative errno: ETIMEDOUT, ENODEV (the device is gone),
 * ECANCELED (it was reset or suspended), EIO (it broke its rules), EBUSY,
 * EAGAIN, EMSGSIZE (no room). vgpu_error_text() has words for all. A struct vgpu
 * is for one thread at a time; processes and threads open their own. Through
 * registers alone a function has one user.
 */
#ifndef LIBVGPU_H
#define LIBVGPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "vgpu_ioctl.h"

#ifdef __cplusplus
extern "C" {
#endif

struct vgpu;

/* --- One request at a time: the calls of the original -------------------------- */

/*
 * Opens a device: "vgpu0" or a path in /dev; a PCI address ("0000:00:05.0") or
 * the path of a resource0: its registers alone. NULL: the first in /dev; if
 * there is none, the first function in sysfs. *vgpu is for vgpu_cleanup().
 */
int vgpu_init(const char *name, struct vgpu **vgpu);
void vgpu_cleanup(struct vgpu *vgpu);

/* What is constant about the device. By registers @mode is REGISTERS. */
int vgpu_get_info(struct vgpu *vgpu, struct vgpu_info *info);

/*
 * Sends a request: struct vgpu_request and what follows it. EBUSY: one is on its
 * way already. @room: for its response, at most.
 */
int vgpu_send(struct vgpu *vgpu, const void *request, size_t bytes,
	      size_t room);

/* Waits for the answer: 1: it is there; 0: not in @timeout_ms (-1: for ever). */
int vgpu_poll(struct vgpu *vgpu, int timeout_ms);

/*
 * Takes the answer that vgpu_poll() has seen: @bytes of it. EAGAIN: there is
 * none. EMSGSIZE: @room is too small; it stays.
 */
int vgpu_read(struct vgpu *vgpu, void *response, size_t room, size_t *bytes);

/*
 * All three. ETIMEDOUT: the answer did not come in @timeout_ms; when it comes it
 * is dropped, and until then a device of registers alone is EBUSY.
 */
int vgpu_execute(struct vgpu *vgpu, const void *request, size_t bytes,
		 void *response, size_t room, size_t *response_bytes,
		 int timeout_ms);

/* Words for what a function returned. Never NULL; static. */
const char *vgpu_error_text(int error);

/* --- Operations ------------------------------------------------------------ */

/*
 * How long each may take from now on; 0: for ever. At first 60 s. With the
 * driver also every other request of this struct vgpu.
 */
int vgpu_set_timeout(struct vgpu *vgpu, uint32_t timeout_ms);

int vgpu_nop(struct vgpu *vgpu);
int vgpu_sum(struct vgpu *vgpu, uint32_t a, uint32_t b, uint32_t *sum);
int vgpu_device_info(struct vgpu *vgpu, struct vgpu_device_info *info);
int vgpu_synchronize(struct vgpu *vgpu);

/* Memory of a backend; zeroed. */
int vgpu_alloc(struct vgpu *vgpu, uint64_t size, uint64_t *handle);
int vgpu_free(struct vgpu *vgpu, uint64_t handle);
/* Any size: several requests if one has no room. */
int vgpu_write_memory(struct vgpu *vgpu, uint64_t handle, uint64_t offset,
		      const void *data, size_t bytes);
int vgpu_read_memory(struct vgpu *vgpu, uint64_t handle, uint64_t offset,
		     void *data, size_t bytes);
int vgpu_copy_memory(struct vgpu *vgpu, uint64_t to, uint64_t to_offset,
		     uint64_t from, uint64_t from_offset, uint64_t bytes);
int vgpu_fill_memory(struct vgpu *vgpu, uint64_t handle, uint64_t offset,
		     uint64_t bytes, uint8_t value);

/* Arguments of a kernel. */
struct vgpu_arg vgpu_arg_memory(uint64_t handle, uint64_t offset);
struct vgpu_arg vgpu_arg_u64(uint64_t value);
struct vgpu_arg vgpu_arg_f32(float value);

/* A named kernel, with arguments as vgpu_protocol.h says; returns when it ran. */
int vgpu_launch(struct vgpu *vgpu, const char *kernel,
		const struct vgpu_arg *args, uint32_t arg_count,
		uint32_t *exec_time_us);

/* PTX text, and a kernel of it. */
int vgpu_load_module(struct vgpu *vgpu, const char *ptx, size_t bytes,
		     uint64_t *module);
int vgpu_unload_module(struct vgpu *vgpu, uint64_t module);
int vgpu_launch_module(struct vgpu *vgpu, const struct vgpu_launch *launch,
		       const struct vgpu_arg *args, uint32_t *exec_time_us);

/* --- Requests and responses as bytes --------------------------------------- */

/*
 * A request that is written into memory of the caller. What does not fit makes
 * it too long: vgpu_message_end() tells.
 */
struct vgpu_message {
	uint8_t *bytes;
	size_t room;
	size_t used;
	bool failed;
};

void vgpu_message_begin(struct vgpu_message *message, void *bytes, size_t room,
			uint32_t opcode);
/* Parameters, before data. */
void vgpu_message_u32(struct vgpu_message *message, uint32_t value);
void vgpu_message_u64(struct vgpu_message *message, uint64_t value);
/* Data; may be called again, for more of it. */
void vgpu_message_data(struct vgpu_message *message, const void *data,
		       size_t bytes);
/* Its bytes, or -EMSGSIZE. */
ssize_t vgpu_message_end(const struct vgpu_message *message);

/* Data of a BATCH: adds a whole request to it, padded. */
void vgpu_message_add(struct vgpu_message *batch,
		      const struct vgpu_message *request);

/* A response that was checked: all that it says lies within its bytes. */
struct vgpu_answer {
	uint32_t status; /* enum vgpu_error */
	uint32_t result_count;
	uint32_t results[VGPU_MAX_PARAMS];
	uint32_t exec_time_us;
	const uint8_t *data;
	size_t data_bytes;
};

/* 0; or -EIO: it is not a response. */
int vgpu_parse(const void *response, size_t bytes, struct vgpu_answer *answer);

/* The next response in the data of a batch: 0; -ENOENT: the end; -EIO. */
int vgpu_parse_next(const struct vgpu_answer *batch, size_t *place,
		    struct vgpu_answer *answer);

/* --- Many in flight: the driver only; else EOPNOTSUPP ----------------------- */

/* For poll(): POLLIN: an answer; POLLOUT: room. -1 without the driver. */
int vgpu_fd(const struct vgpu *vgpu);

/*
 * Sends requests with one doorbell; returns how many were taken. Their
 * responses are written to where each says, by vgpu_wait().
 */
int vgpu_submit_many(struct vgpu *vgpu, struct vgpu_submit *requests,
		     uint32_t count);

/*
 * Takes up to @count answers and waits for @least of them, or one, for at most
 * @timeout_ms (-1: for ever). Returns how many.
 */
int vgpu_wait_many(struct vgpu *vgpu, struct vgpu_completion *completions,
		   uint32_t count, uint32_t least, int timeout_ms);

/* Memory that the program and the device share. Members are read-only. */
struct vgpu_shared {
	void *data;
	size_t bytes;
	uint32_t handle; /* for struct vgpu_submit */
};

int vgpu_share(struct vgpu *vgpu, size_t bytes, struct vgpu_shared *shared);
/* Requests in flight keep its pages until they are answered. */
void vgpu_unshare(struct vgpu *vgpu, struct vgpu_shared *shared);

#ifdef __cplusplus
}
#endif

#endif /* LIBVGPU_H */
