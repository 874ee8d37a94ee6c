/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VGPU_CALL_H
#define VGPU_CALL_H

#include <linux/ktime.h>

#include "vgpu_buffer.h"
#include "vgpu_memory.h"

/**
 * struct vgpu_call - one request and its answer
 * @entry: who needs it still; of the ledger of its file; its id is the cookie
 * @link: in a list of the queue, under its lock; before that, in one of who
 *	submits
 * @user_data: of the request
 * @submitted: when, by the guest's clock
 * @answered: the same, of its answer or error
 * @deadline: in jiffies
 * @has_deadline: there is one
 * @buffer: mapped: where both are; else NULL, and they are in @out and @in
 * @request_offset: mapped
 * @response_offset: mapped
 * @request_bytes: of the request
 * @response_bytes: room for the response
 * @out: what the device reads
 * @in: what it writes
 * @user_response: where user space wants the response, or NULL
 * @used: bytes that the device has written of the response
 * @status: enum vgpu_error
 * @device_ns: when the device was done
 *
 * From @answered on, what the device says is written before the entry settles
 * and read after that, by who has the file's reference.
 */
struct vgpu_call {
	struct mimic_entry entry;
	struct list_head link;
	u64 user_data;
	ktime_t submitted;
	ktime_t answered;
	unsigned long deadline;
	bool has_deadline;
	struct vgpu_buffer *buffer;
	u64 request_offset;
	u64 response_offset;
	u32 request_bytes;
	u32 response_bytes;
	struct vgpu_memory out;
	struct vgpu_memory in;
	void __user *user_response;
	u32 used;
	u32 status;
	u64 device_ns;
};

#define to_vgpu_call(e) container_of(e, struct vgpu_call, entry)

int vgpu_calls_init(void);
void vgpu_calls_exit(void);

struct vgpu_call *vgpu_call_new(struct vgpu_file *file);
void vgpu_call_free(struct mimic_entry *entry);
int vgpu_call_copy(struct vgpu_call *call, struct vgpu_file *file,
		   const void __user *request);
int vgpu_call_in_buffer(struct vgpu_call *call, struct vgpu_file *file,
			const struct vgpu_submit *from);
int vgpu_call_to_user(const struct vgpu_call *call, void __user *response);
int vgpu_call_map(struct vgpu_call *call, struct vgpu_device *dev);
void vgpu_call_unmap(struct vgpu_call *call, struct vgpu_device *dev);

static inline const void *vgpu_call_request(const struct vgpu_call *call)
{
	return call->buffer ?
		       vgpu_buffer_at(call->buffer, call->request_offset) :
		       call->out.data;
}

static inline void *vgpu_call_response(const struct vgpu_call *call)
{
	return call->buffer ?
		       vgpu_buffer_at(call->buffer, call->response_offset) :
		       call->in.data;
}

/* Bus addresses, while mapped. */
static inline u64 vgpu_call_request_dma(const struct vgpu_call *call)
{
	return call->buffer ? call->buffer->dma + call->request_offset :
			      call->out.dma;
}

static inline u64 vgpu_call_response_dma(const struct vgpu_call *call)
{
	return call->buffer ? call->buffer->dma + call->response_offset :
			      call->in.dma;
}

#endif /* VGPU_CALL_H */
