/* SPDX-License-Identifier: GPL-2.0 */
#ifndef VGPU_DEVICE_H
#define VGPU_DEVICE_H

#include "vgpu.h"

struct vgpu_device *vgpu_device_new(struct pci_dev *pdev, void __iomem *regs);
void vgpu_device_free(struct vgpu_device *dev);
int vgpu_device_prepare(struct vgpu_device *dev);
void vgpu_device_release(struct vgpu_device *dev);
int vgpu_device_start(struct vgpu_device *dev);
void vgpu_device_stop(struct vgpu_device *dev, int error, bool all);
void vgpu_device_disconnect(struct mimic_node *node);

void vgpu_recover(struct work_struct *work);

extern const struct pci_error_handlers vgpu_err_handler;
extern const struct dev_pm_ops vgpu_pm_ops;

#endif /* VGPU_DEVICE_H */
