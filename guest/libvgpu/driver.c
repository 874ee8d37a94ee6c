/* SPDX-License-Identifier: Apache-2.0 */
/* libvgpu: the way through /dev/vgpuN. */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "internal.h"

static int control(struct vgpu *vgpu, unsigned long request, void *argument)
{
	return vgpu->system->ioctl(vgpu->fd, request, argument) ? -errno : 0;
}

int vgpu_open_driver(struct vgpu *vgpu, const char *path)
{
	struct vgpu_info info;
	int ret;

	vgpu->way = &vgpu_driver_way;
	vgpu->fd = vgpu->system->open(path, O_RDWR | O_CLOEXEC);
	if (vgpu->fd < 0)
		return -errno;
	ret = vgpu_get_info(vgpu, &info);
	/* Another kind of node may know the ioctl. */
	if (!ret && info.max_bytes < VGPU_BUFFER_SIZE)
		ret = -ENXIO;
	if (ret)
		vgpu->way->cleanup(vgpu);
	else
		vgpu->max_bytes = info.max_bytes;
	return ret;
}

static void driver_cleanup(struct vgpu *vgpu)
{
	vgpu->system->close(vgpu->fd);
}

static int driver_get_info(struct vgpu *vgpu, struct vgpu_info *info)
{
	return control(vgpu, VGPU_IOC_INFO, info);
}

/* Room for a response until its reader comes. */
static int make_room(struct vgpu *vgpu, size_t room)
{
	uint8_t *more;

	if (room <= vgpu->response_room)
		return 0;
	more = realloc(vgpu->response, room);
	if (!more)
		return -ENOMEM;
	vgpu->response = more;
	vgpu->response_room = room;
	return 0;
}

static int driver_send(struct vgpu *vgpu, const void *request, size_t bytes,
		       size_t room)
{
	struct vgpu_submit submit = {
		.size = sizeof(submit),
		.request = (uintptr_t)request,
		.request_bytes = (uint32_t)bytes,
		.response_bytes = (uint32_t)room,
	};
	int ret;

	if (bytes > VGPU_MAX_MESSAGE || room > VGPU_MAX_MESSAGE)
		return -EMSGSIZE;
	ret = make_room(vgpu, room);
	if (ret)
		return ret;
	submit.response = (uintptr_t)vgpu->response;
	ret = control(vgpu, VGPU_IOC_SUBMIT, &submit);
	if (ret)
		return ret;
	vgpu->cookie = submit.cookie;
	vgpu->sent = true;
	vgpu->answered = false;
	return 0;
}

/* Waits for what was sent; what came is kept for driver_read(). */
static int driver_poll(struct vgpu *vgpu, int timeout_ms)
{
	struct vgpu_wait wait = {
		.size = sizeof(wait),
		.flags = VGPU_WAIT_COOKIE,
		.cookie = vgpu->cookie,
		.timeout_ns = timeout_ms < 0 ?
				      VGPU_WAIT_FOREVER :
				      (uint64_t)timeout_ms * 1000000u,
		.completions = (uintptr_t)&vgpu->completion,
		.completion_size = sizeof(vgpu->completion),
		.count = 1,
	};
	int ret;

	if (vgpu->answered)
		return 1;
	ret = control(vgpu, VGPU_IOC_WAIT, &wait);
	if (ret == -ETIMEDOUT)
		return 0;
	if (ret)
		return ret;
	vgpu->answered = true;
	return 1;
}

static int driver_read(struct vgpu *vgpu, void *response, size_t room,
		       size_t *bytes)
{
	const struct vgpu_completion *completion = &vgpu->completion;

	if (!vgpu->answered)
		return -EAGAIN;
	if (!completion->error && completion->response_bytes > room)
		return -EMSGSIZE;
	vgpu->sent = false;
	vgpu->answered = false;
	if (completion->error)
		return completion->error;
	if (completion->response_bytes)
		memcpy(response, vgpu->response, completion->response_bytes);
	*bytes = completion->response_bytes;
	return vgpu_device_error(completion->status);
}

/* When the answer comes, the driver drops it. */
static void driver_give_up(struct vgpu *vgpu)
{
	struct vgpu_wait wait = {
		.size = sizeof(wait),
		.flags = VGPU_WAIT_COOKIE | VGPU_WAIT_FORGET |
			 VGPU_WAIT_NONBLOCK,
		.cookie = vgpu->cookie,
		.completions = (uintptr_t)&vgpu->completion,
		.completion_size = sizeof(vgpu->completion),
		.count = 1,
	};

	if (!vgpu->answered)
		control(vgpu, VGPU_IOC_WAIT, &wait);
	vgpu->sent = false;
	vgpu->answered = false;
}

static int driver_set_timeout(struct vgpu *vgpu, uint32_t timeout_ms)
{
	struct vgpu_info info;
	struct vgpu_settings settings = {
		.size = sizeof(settings),
		.timeout_ms = timeout_ms,
	};
	int ret = vgpu_get_info(vgpu, &info);

	if (ret)
		return ret;
	settings.response_bytes = info.response_bytes;
	return control(vgpu, VGPU_IOC_SETTINGS, &settings);
}

const struct vgpu_way vgpu_driver_way = {
	.cleanup = driver_cleanup,
	.get_info = driver_get_info,
	.send = driver_send,
	.poll = driver_poll,
	.read = driver_read,
	.give_up = driver_give_up,
	.set_timeout = driver_set_timeout,
};

int vgpu_submit_many(struct vgpu *vgpu, struct vgpu_submit *requests,
		     uint32_t count)
{
	struct vgpu_batch batch = {
		.size = sizeof(batch),
		.count = count,
		.entry_size = sizeof(*requests),
		.entries = (uintptr_t)requests,
	};
	int ret;

	if (vgpu->way != &vgpu_driver_way)
		return -EOPNOTSUPP;
	ret = control(vgpu, VGPU_IOC_BATCH, &batch);
	return ret ? ret : (int)batch.submitted;
}

int vgpu_wait_many(struct vgpu *vgpu, struct vgpu_completion *completions,
		   uint32_t count, uint32_t least, int timeout_ms)
{
	struct vgpu_wait wait = {
		.size = sizeof(wait),
		.timeout_ns = timeout_ms < 0 ?
				      VGPU_WAIT_FOREVER :
				      (uint64_t)timeout_ms * 1000000u,
		.completions = (uintptr_t)completions,
		.completion_size = sizeof(*completions),
		.count = count,
		.min_count = least,
	};
	int ret;

	if (vgpu->way != &vgpu_driver_way)
		return -EOPNOTSUPP;
	ret = control(vgpu, VGPU_IOC_WAIT, &wait);
	return ret ? ret : (int)wait.reaped;
}

int vgpu_share(struct vgpu *vgpu, size_t bytes, struct vgpu_shared *shared)
{
	struct vgpu_buffer_create create = {
		.size = sizeof(create),
		.bytes = bytes,
	};
	struct vgpu_buffer_destroy destroy = { .size = sizeof(destroy) };
	int ret;

	if (vgpu->way != &vgpu_driver_way)
		return -EOPNOTSUPP;
	ret = control(vgpu, VGPU_IOC_BUFFER_CREATE, &create);
	if (ret)
		return ret;
	shared->bytes = (size_t)create.bytes;
	shared->handle = create.handle;
	shared->data = vgpu->system->mmap(shared->bytes, vgpu->fd,
					  (off_t)create.mmap_offset);
	if (shared->data != MAP_FAILED)
		return 0;
	ret = -errno;
	destroy.handle = create.handle;
	control(vgpu, VGPU_IOC_BUFFER_DESTROY, &destroy);
	return ret;
}

void vgpu_unshare(struct vgpu *vgpu, struct vgpu_shared *shared)
{
	struct vgpu_buffer_destroy destroy = {
		.size = sizeof(destroy),
		.handle = shared->handle,
	};

	vgpu->system->munmap(shared->data, shared->bytes);
	control(vgpu, VGPU_IOC_BUFFER_DESTROY, &destroy);
}
