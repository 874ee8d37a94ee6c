// SPDX-License-Identifier: GPL-2.0
/*
 * vgpu-stub: one request at a time, as any device takes them
 */

/**
 * DOC: the original vGPU's way
 *
 * REQUEST_LEN, the request, DOORBELL; STATUS is BUSY until it is DONE or ERROR;
 * then RESPONSE_LEN and the response, or ERROR_CODE. A device that knows of
 * memory takes addresses in place of the request. One work per device does all
 * of this, so nobody else writes these registers; who does so through resource0
 * meanwhile disturbs the requests of this device only.
 */

#include <linux/dma-mapping.h>

#include "vgpu_hw.h"
#include "vgpu_queue.h"

static void vgpu_single_write_request(struct vgpu_device *dev,
				      const struct vgpu_call *call)
{
	const u8 *from = vgpu_call_request(call);
	u32 done, word;

	for (done = 0; done < call->request_bytes; done += sizeof(word)) {
		word = 0;
		memcpy(&word, from + done,
		       min_t(u32, sizeof(word), call->request_bytes - done));
		vgpu_write(dev, VGPU_STUB_REQUEST + done, word);
	}
	vgpu_write(dev, VGPU_STUB_REQUEST_LEN, call->request_bytes);
	vgpu_write(dev, VGPU_STUB_REQUEST_ID, call->entry.id);
	vgpu_write(dev, VGPU_STUB_DOORBELL, 1);
}

static void vgpu_single_write_addresses(struct vgpu_device *dev,
					const struct vgpu_call *call)
{
	const u64 request = vgpu_call_request_dma(call);
	const u64 response = vgpu_call_response_dma(call);

	vgpu_write(dev, VGPU_STUB_DMA_REQUEST_LO, lower_32_bits(request));
	vgpu_write(dev, VGPU_STUB_DMA_REQUEST_HI, upper_32_bits(request));
	vgpu_write(dev, VGPU_STUB_DMA_REQUEST_LEN, call->request_bytes);
	vgpu_write(dev, VGPU_STUB_DMA_RESPONSE_LO, lower_32_bits(response));
	vgpu_write(dev, VGPU_STUB_DMA_RESPONSE_HI, upper_32_bits(response));
	vgpu_write(dev, VGPU_STUB_DMA_RESPONSE_SIZE, call->response_bytes);
	vgpu_write(dev, VGPU_STUB_REQUEST_ID, call->entry.id);
	vgpu_write(dev, VGPU_STUB_DMA_DOORBELL, 1);
}

/* Gives the current call to the device. */
static int vgpu_single_begin(struct vgpu_device *dev, struct vgpu_call *call)
{
	int ret = vgpu_call_map(call, dev);

	if (ret)
		return ret;
	if (vgpu_device_has_dma(dev))
		vgpu_single_write_addresses(dev, call);
	else
		vgpu_single_write_request(dev, call);
	return 0;
}

static void vgpu_single_read_response(struct vgpu_device *dev,
				      struct vgpu_call *call)
{
	u8 *to = vgpu_call_response(call);
	u32 done, word;

	for (done = 0; done < call->used; done += sizeof(word)) {
		word = vgpu_read(dev, VGPU_STUB_RESPONSE + done);
		memcpy(to + done, &word,
		       min_t(u32, sizeof(word), call->used - done));
	}
}

/* Takes what the device has answered; it is not busy any more. */
static int vgpu_single_end(struct vgpu_device *dev, struct vgpu_call *call,
			   u32 status)
{
	u32 bytes, low;

	/* All that is written to is nobody's any more but the device's. */
	if (mimic_entry_is_settled(&call->entry))
		return 0;
	low = vgpu_read(dev, VGPU_STUB_TIMESTAMP_LO);
	call->device_ns =
		(u64)vgpu_read(dev, VGPU_STUB_TIMESTAMP_HI) << 32 | low;
	if (status == VGPU_STATUS_ERROR) {
		call->status = vgpu_read(dev, VGPU_STUB_ERROR_CODE);
		return call->status == VGPU_OK ? -EIO : 0;
	}
	if (status != VGPU_STATUS_DONE)
		return -EIO;
	bytes = vgpu_read(dev, VGPU_STUB_RESPONSE_LEN);
	if (!vgpu_device_has_dma(dev) && bytes <= VGPU_BUFFER_SIZE &&
	    bytes > call->response_bytes) {
		/* It does not know how much room there is. */
		call->status = VGPU_ERROR_INVALID_LENGTH;
		return 0;
	}
	if (bytes > call->response_bytes)
		return -EIO;
	call->used = bytes;
	call->status = VGPU_OK;
	if (!vgpu_device_has_dma(dev))
		vgpu_single_read_response(dev, call);
	return 0;
}

/**
 * vgpu_single_run() - take what is done and give the next
 * @dev: without a ring
 *
 * Context: the device's work.
 * Return: whether it is worth coming back.
 */
bool vgpu_single_run(struct vgpu_device *dev)
{
	struct vgpu_call *call = vgpu_queue_current(dev);
	u32 status;
	int ret;

	while (vgpu_queue_has_work(dev)) {
		status = vgpu_read(dev, VGPU_STUB_STATUS);
		/* Pulled out: removal ends what it had. */
		if (status == U32_MAX)
			return false;
		/* Also of who had it before us. */
		if (status == VGPU_STATUS_BUSY)
			return true;
		if (call) {
			ret = vgpu_single_end(dev, call, status);
			vgpu_queue_done(dev, call, ret);
		}
		call = vgpu_queue_next(dev);
		if (!call)
			return false;
		ret = vgpu_single_begin(dev, call);
		if (ret) {
			vgpu_queue_done(dev, call, ret);
			call = NULL;
		}
	}
	return false;
}
