// SPDX-License-Identifier: GPL-2.0
/*
 * virtio-sst: module, virtio driver
 */

/**
 * DOC: locks, from the outside in
 *
 * - sst_lock: who opens and closes a node
 * - sst_device.base.access: that the device runs; read to submit, write to
 *   start and stop
 * - sst_file.buffers_lock: alone
 * - sst_queue.lock: the virtqueue and the lists of calls; with interrupts off
 * - sst_event_queue.lock: the event queue and all rings; with interrupts off
 * - mimic_ledger.lock: the lists of a file; with interrupts off
 *
 * The last three are never held when something is copied from or to user space.
 * Which reference keeps what: mimic_ledger.c.
 */

#include <linux/module.h>
#include <linux/slab.h>
#include <linux/virtio_ids.h>

#include "sst_call.h"
#include "sst_cdev.h"
#include "sst_compat.h"
#include "sst_device.h"
#include "sst_selftest.h"
#include "sst_sysfs.h"

static DEFINE_MUTEX(sst_lock);

static void sst_node_free(struct mimic_node *node)
{
	struct sst_device *dev = container_of(node, struct sst_device, base);

	sst_sysfs_free(dev);
	sst_device_free(dev);
}

static struct mimic_node_class sst_nodes = {
	.name = "sst",
	.class_prefix = "sst",
	.dev_prefix = "sst",
	.max_nodes = SST_MAX_DEVICES,
	.lock = &sst_lock,
	.disconnect = sst_device_disconnect,
	.free = sst_node_free,
};

/* Makes the node of a device that runs visible. */
static int sst_publish(struct sst_device *dev)
{
	int ret;

	ret = mimic_node_add(&dev->base);
	if (ret)
		return ret;
	ret = sst_sysfs_add_queues(dev);
	if (ret)
		dev_warn(&dev->base.dev, "no folders of queues: %d\n", ret);
	mimic_node_announce(&dev->base);
	dev_info(&dev->base.dev,
		 "device %u, version 0x%x, features 0x%llx, %u queue pair%s%s\n",
		 dev->config.device_id, dev->config.version, dev->features,
		 dev->queue_count, dev->queue_count == 1 ? "" : "s",
		 dev->lock_step ? ", lock-step" : "");
	return 0;
}

static int sst_probe(struct virtio_device *vdev)
{
	struct sst_device *dev;
	int ret;

	dev = sst_device_new(vdev);
	if (!dev)
		return -ENOMEM;
	ret = mimic_node_init(&dev->base, &sst_nodes, &sst_fops, &vdev->dev);
	if (ret) {
		sst_device_free(dev);
		return ret;
	}
	vdev->priv = dev;
	ret = dev_set_name(&dev->base.dev, "sst%u",
			   MINOR(dev->base.dev.devt) - MINOR(sst_nodes.devt));
	if (!ret)
		ret = sst_device_start(dev);
	if (ret)
		goto put;
	ret = sst_publish(dev);
	if (ret)
		goto disconnect;
	sst_selftest_add(dev);
	return 0;

disconnect:
	mimic_node_disconnect(&dev->base);
put:
	vdev->priv = NULL;
	put_device(&dev->base.dev);
	return ret;
}

static void sst_remove(struct virtio_device *vdev)
{
	struct sst_device *dev = vdev->priv;

	sst_selftest_remove(dev);
	/* Before the device stops, and what came until it had. */
	WRITE_ONCE(dev->removing, true);
	cancel_work_sync(&dev->recover);
	get_device(&dev->base.dev);
	mimic_node_remove(&dev->base);
	cancel_work_sync(&dev->recover);
	vdev->priv = NULL;
	put_device(&dev->base.dev);
}

#ifdef SST_HAS_VIRTIO_SHUTDOWN
static void sst_shutdown(struct virtio_device *vdev)
{
	sst_device_freeze(vdev);
}
#else
static void sst_shutdown(struct device *device)
{
	sst_device_freeze(dev_to_virtio(device));
}
#endif

static const struct virtio_device_id sst_ids[] = {
	/* Any vendor: virtio-mmio of QEMU has its own. */
	{ SST_VIRTIO_ID, VIRTIO_DEV_ANY_ID },
	{ SST_VIRTIO_ID_LINUX_SST, VIRTIO_DEV_ANY_ID },
	{},
};
MODULE_DEVICE_TABLE(virtio, sst_ids);

static const unsigned int sst_features[] = {
	SST_F_ECHO,	   SST_F_COMPUTE, SST_F_MEMORY, SST_F_EVENTS,
	SST_F_MULTI_QUEUE, SST_F_RESET,	  SST_F_TIMING, SST_F_LOCK_STEP,
};

static struct virtio_driver sst_driver = {
	.driver.name = KBUILD_MODNAME,
	.driver.owner = THIS_MODULE,
	.id_table = sst_ids,
	/* Legacy devices have the same. */
	.feature_table = sst_features,
	.feature_table_size = ARRAY_SIZE(sst_features),
	.probe = sst_probe,
	.remove = sst_remove,
	.config_changed = sst_device_config_changed,
#ifdef CONFIG_PM_SLEEP
	.freeze = sst_device_freeze,
	.restore = sst_device_restore,
#endif
#ifdef SST_HAS_RESET_PREPARE
	.reset_prepare = sst_device_freeze,
	.reset_done = sst_device_restore,
#endif
#ifdef SST_HAS_VIRTIO_SHUTDOWN
	.shutdown = sst_shutdown,
#else
	.driver.shutdown = sst_shutdown,
#endif
};

static int __init sst_init(void)
{
	int ret;

	ret = sst_calls_init();
	if (ret)
		return ret;
	ret = mimic_node_class_init(&sst_nodes, sst_sysfs_groups);
	if (ret)
		goto calls;
	ret = register_virtio_driver(&sst_driver);
	if (ret)
		goto nodes;
	return 0;

nodes:
	mimic_node_class_exit(&sst_nodes);
calls:
	sst_calls_exit();
	return ret;
}

static void __exit sst_exit(void)
{
	unregister_virtio_driver(&sst_driver);
	mimic_node_class_exit(&sst_nodes);
	sst_calls_exit();
}

module_init(sst_init);
module_exit(sst_exit);

MODULE_DESCRIPTION("Mimic's virtio-sst: accelerators whose answers come from a simulator");
MODULE_VERSION("1.0.0");
MODULE_LICENSE("GPL");
