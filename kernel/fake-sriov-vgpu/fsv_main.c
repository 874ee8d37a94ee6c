// SPDX-License-Identifier: GPL-2.0
/*
 * fake-sriov-vgpu: GPUs with virtual functions on a PCI bus that is not there
 */

#include <linux/module.h>

#include "fsv.h"

DEFINE_RATELIMIT_STATE(fsv_ratelimit, HZ, 1);

char *fsv_driver_name = "nvidia";
module_param_named(driver_name, fsv_driver_name, charp, 0444);
MODULE_PARM_DESC(driver_name,
		 "name of the driver of the GPUs (default nvidia)");

static int __init fsv_init(void)
{
	int ret;

	/* Silence is announced by the next line that is printed, if at all. */
	ratelimit_set_flags(&fsv_ratelimit, RATELIMIT_MSG_ON_RELEASE);
	ret = fsv_bus_init();
	if (ret)
		return ret;
	ret = fsv_driver_init();
	if (ret)
		goto err_bus;
	ret = fsv_control_init();
	if (ret)
		goto err_driver;
	ret = fsv_configfs_init();
	if (ret)
		goto err_control;
	return 0;

err_control:
	fsv_control_exit();
err_driver:
	fsv_driver_exit();
err_bus:
	fsv_bus_exit();
	return ret;
}
module_init(fsv_init);

static void __exit fsv_exit(void)
{
	fsv_configfs_exit();
	fsv_control_exit();
	fsv_driver_exit();
	fsv_bus_exit();
}
module_exit(fsv_exit);

MODULE_AUTHOR("The Mimic authors");
MODULE_DESCRIPTION("GPUs with SR-IOV virtual functions and vGPUs on a virtual PCI bus");
MODULE_LICENSE("GPL");
MODULE_VERSION("1.0.0");
