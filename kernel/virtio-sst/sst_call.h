/* SPDX-License-Identifier: GPL-2.0 */
#ifndef SST_CALL_H
#define SST_CALL_H

#include <linux/cache.h>
#include <linux/ktime.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>

#include "sst_buffer.h"

struct io_uring_cmd;

/* Not defined by older kernels where any alignment will do. */
#ifdef ARCH_DMA_MINALIGN
#define SST_CALL_ALIGN ARCH_DMA_MINALIGN
#else
#define SST_CALL_ALIGN __alignof__(unsigned long long)
#endif

/**
 * struct sst_call - one request and its answer
 * @entry: who needs it still; of the ledger of its file
 * @link: in a list of @queue, under its lock; before that, in one of who submits
 * @queue: that has it or had it
 * @id: request_id
 * @user_data: of the request
 * @submitted: when, by the guest's clock
 * @answered: the same, of its answer or error
 * @deadline: in jiffies
 * @has_deadline: there is one
 * @due: when its latency is over (lock-step)
 * @request_bytes: of the request
 * @response_bytes: room for the response
 * @buffer: mapped: where both are; else NULL, and they are in @out and @in
 * @request_offset: mapped
 * @response_offset: mapped
 * @used: bytes that the device has written of the response
 * @status: of the response
 * @result: of the response
 * @timing: what followed the response, or zeros
 * @uring: command that is complete with it, or NULL
 * @uring_response: where the command wants the response
 * @out: what the device reads: struct SSTRequest, struct sst_submit
 * @in: what it writes: struct SSTResponse, struct sst_timing
 *
 * From @answered on, what the device says is written before the entry settles
 * and read after that, by who has the file's reference.
 */
struct sst_call {
	struct mimic_entry entry;
	struct list_head link;
	struct sst_queue *queue;
	u64 id;
	u64 user_data;
	ktime_t submitted;
	ktime_t answered;
	unsigned long deadline;
	bool has_deadline;
	ktime_t due;
	u32 request_bytes;
	u32 response_bytes;
	struct sst_buffer *buffer;
	u64 request_offset;
	u64 response_offset;
	u32 used;
	u32 status;
	u64 result;
	struct sst_timing timing;
	struct io_uring_cmd *uring;
	void __user *uring_response;
	u8 out[sizeof(struct SSTRequest) + sizeof(struct sst_submit)]
		__aligned(SST_CALL_ALIGN);
	u8 in[sizeof(struct SSTResponse) + sizeof(struct sst_timing)]
		__aligned(SST_CALL_ALIGN);
};

#define to_sst_call(e) container_of(e, struct sst_call, entry)

int sst_calls_init(void);
void sst_calls_exit(void);

struct sst_call *sst_call_new(struct sst_file *file);
void sst_call_free(struct mimic_entry *entry);
int sst_call_copy(struct sst_call *call, struct sst_device *dev,
		  const void __user *request, u32 bytes);
int sst_call_map(struct sst_call *call, struct sst_file *file,
		 const struct sst_batch_entry *from);
int sst_call_to_user(const struct sst_call *call, void __user *response);
int sst_call_add(struct sst_call *call, struct sst_device *dev,
		 struct virtqueue *vq);
int sst_call_answer(struct sst_call *call, struct sst_device *dev, u32 used);

#endif /* SST_CALL_H */
